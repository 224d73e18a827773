"""Places that cannot be written or read: one error that names them, and no traceback."""

import os
import shutil
from pathlib import Path

import pytest

from tests.azureml.conftest import Folder, folder
from tests.support.space import APP, Result, Space

__all__ = ["folder"]

# root may read and write everything, so it gives up the two capabilities it does so by
PREFIX = () if os.getuid() else ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def as_owner(space: Space, *args: str, code: int) -> Result:
    """Run a command as one whom the modes of files hold for."""
    if PREFIX and shutil.which(PREFIX[0]) is None:
        assert not os.environ.get("CI"), "CI has setpriv"
        pytest.skip("setpriv is not installed")
    result = space.process(*args, code=code, prefix=PREFIX)
    assert "Traceback" not in result.err
    return result


@pytest.fixture
def shut(built: Space) -> Path:
    """A folder that nobody may read or write."""
    path = built.root / "shut"
    path.mkdir()
    path.chmod(0)
    return path


@pytest.mark.parametrize("form", ["oci-layout", "oci-archive"])
def test_an_export_into_a_place_that_cannot_be_made(built: Space, shut: Path, form: str) -> None:
    what = form.removeprefix("oci-")
    (built.folder / "file").write_text("x")
    for place in ("/proc/nowhere/out", str(built.folder / ("n" * 300))):
        built.run("export", APP, "--format", form, "-o", place, code=2).said(
            f"error: cannot write the {what} '{place}'"
        )
    place = str(built.folder / "file" / "out")
    built.run("export", APP, "--format", form, "-o", place, code=2).said(f"'{place}'")
    as_owner(built, "export", APP, "--format", form, "-o", str(shut / "out"), code=2).said(
        f"error: cannot write the {what} '{shut / 'out'}': permission denied", "hint: name a"
    )
    out = str(built.folder / "out")
    built.run("export", APP, "--format", form, "-o", out)
    assert os.path.exists(out)


@pytest.mark.parametrize("form", ["oci-layout", "oci-archive"])
def test_an_export_that_fills_the_disk_leaves_nothing_half_written(built: Space, small_disk: Path, form: str) -> None:
    built.write("weights/large.bin", os.urandom(2 << 20))
    place = small_disk / "out"
    result = built.run("export", APP, "--format", form, "-o", str(place), code=2)
    result.said(f"cannot write the {form.removeprefix('oci-')} '{place}': no space left on device")
    assert not [path for path in small_disk.rglob("*") if path.name.endswith(".tmp")]


def test_a_first_build_file_that_cannot_be_written(built: Space) -> None:
    sealed = built.root / "sealed"
    sealed.mkdir()
    sealed.chmod(0o500)
    as_owner(built, "init", "sealed", code=2).said("error: cannot write 'sealed/BUILD.yaml': permission denied")


def test_an_import_that_cannot_be_written(folder: Folder) -> None:
    folder.write({"env.yml": "name: e\nimage: registry.example/x:1\n"})
    (folder.root / "BUILD.yaml").symlink_to("nowhere/BUILD.yaml")
    said = folder.run("import", "azureml", "env.yml", code=2)
    said.has("error: cannot write 'BUILD.yaml'", "no such file")
    said = folder.run("import", "azureml", "env.yml", "--output", "env.yml/below", code=2)
    said.has("error: ")


def test_a_model_folder_that_cannot_be_read(built: Space) -> None:
    built.path("weights").chmod(0)
    as_owner(built, "build", APP, code=1).said("error: cannot list 'weights'", "ermission denied")
    built.path("weights").chmod(0o755)


AZURE = {
    "package.yml": "$schema: http://azureml/sdk-2-0/ModelVersionPackage.json\ntarget_environment: made\n"
    "base_environment_source: {type: environment_asset, resource_id: azureml:e:1}\n"
    "inferencing_server: {type: azureml_online, code_configuration: {code: src, scoring_script: score.py}}\n",
    "env.yml": "name: e\nversion: 1\nimage: registry.example/x:1\n",
    "model/m.txt": "1\n",
    "src/score.py": "def init(): ...\n\n\ndef run(data): ...\n",
}


@pytest.mark.parametrize("options", [(), ("--model", "model"), ("--model", "model/m.txt")])
def test_an_import_of_a_model_folder_that_cannot_be_read(built: Space, options: tuple[str, ...]) -> None:
    for path, text in AZURE.items():
        built.write(f"azure/{path}", text)
    if options == ("--model", "model"):  # with code it is one model, whatever it holds
        built.edit("azure/package.yml", ", code_configuration: {code: src, scoring_script: score.py}", "")
    built.path("azure/model").chmod(0)
    words = [f"azure/{word}" if word.startswith("model") else word for word in options]
    result = as_owner(built, "import", "azureml", "azure/package.yml", *words, code=2)
    built.path("azure/model").chmod(0o755)
    result.said("error: ", "azure/model")
