"""Whether the wheels of an image go together: row A13 of what was met in the field, and what metadata says."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from buildrules.actions.python.equivalents import equivalents, served_by
from buildrules.actions.python.installed import Distribution, check_paths, check_requirements
from buildrules.actions.python.target import Target
from buildrules.errors import ActionError
from buildrules.oci.local import Local
from buildrules.sha256 import digest_of
from buildrules.store.store import Store
from tests.python.conftest import make_wheel
from tests.support.space import APP, Space, make_wheels

TARGET = Target("linux/arm64", "3.11.2")


class Shelf:
    """Distributions made of names, requirements and files."""

    def __init__(self, folder: Path) -> None:
        self._local = Local(Store(str(folder)).blobs)

    def __call__(
        self, name: str, version: str = "1.0", requires: Sequence[str] = (), files: dict[str, bytes] | None = None
    ) -> Distribution:
        filename, data = make_wheel(name, version, requires=requires, files=files or {f"{name}.py": b""})
        digest = self._local.blobs.put(data)
        part = {"kind": "wheel", "digest": digest, "filename": filename, "prefix": "opt/venv", "python": "3.11"}
        return Distribution(part, self._local.checked(digest))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def clash(*found: Distribution, prefer: Sequence[str] = ()) -> str | None:
    try:
        check_paths(found, frozenset(prefer))
    except ActionError as error:
        return f"{error.message} ({error.hint})"
    return None


def unmet(*found: Distribution, exclude: Sequence[str] = ()) -> str | None:
    try:
        check_requirements(found, TARGET, frozenset(exclude))
    except ActionError as error:
        return error.message.removeprefix("what is installed does not go together: ")
    return None


def test_a13_two_owners_of_one_path(shelf: Shelf) -> None:
    plain = shelf("opencv_python", files={"cv2/__init__.py": b"gui = True\n", "cv2/cv2.so": b"1"})
    headless = shelf("opencv_python_headless", files={"cv2/__init__.py": b"gui = False\n", "cv2/cv2.so": b"2"})
    assert clash(plain, headless) == (
        "opencv-python 1.0 and opencv-python-headless 1.0 both bring 'lib/python3.11/site-packages/cv2/__init__.py'"
        " and 1 more files, with different content (leave one out, with `exclude: [opencv-python]` or"
        " `exclude: [opencv-python-headless]` in the environment; or say whose files are used, with"
        " `prefer: [opencv-python]` or `prefer: [opencv-python-headless]`)"
    )
    assert clash(plain, headless, prefer=["opencv-python-headless"]) is None
    assert clash(plain, headless, prefer=["opencv-python"]) is not None  # it has to be the last, and is not


def test_a13_two_owners_of_one_script(shelf: Shelf) -> None:
    one, two = (shelf(name, files={f"{name}-1.0.data/scripts/tool": name.encode()}) for name in ("one", "two"))
    found = clash(one, two)
    assert found is not None
    assert "both bring 'bin/tool'" in found


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("pack/part.py", b"same = 1\n", b"same = 1\n"),
        ("azure/__init__.py", b"", b"# a remark\n"),
        ("google/__init__.py", b"__import__('pkg_resources').declare_namespace(__name__)\n", b'"""Shared."""\n'),
        ("google/__init__.py", b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n", b"\n"),
        ("tests/conftest.py", b"a = 1\n", b"b = 1\n"),
        ("LICENSE", b"MIT", b"BSD"),
    ],
)
def test_a13_two_owners_nobody_can_tell_apart(shelf: Shelf, path: str, first: bytes, second: bytes) -> None:
    assert clash(shelf("one", files={path: first}), shelf("two", files={path: second})) is None


def test_a13_an_init_with_code_is_no_namespace(shelf: Shelf) -> None:
    one = shelf("one", files={"pack/__init__.py": b""})
    assert clash(one, shelf("two", files={"pack/__init__.py": b"import os\n"})) is not None


@pytest.mark.parametrize(
    "text",
    [
        b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\nfrom .gui import *\n",
        b"__import__('pkg_resources').declare_namespace(__name__)\n__version__ = '2'\n",
        b"# extend_path( is not called\nvalue = 1\n",
        b"-" * 60_000 + b"1\n",
    ],
)
def test_a13_a_namespace_with_code_beside_is_none(shelf: Shelf, text: bytes) -> None:
    one = shelf("one", files={"pack/__init__.py": b""})
    assert clash(one, shelf("two", files={"pack/__init__.py": text})) is not None


TRIED = b"""\
try:
    import pkg_resources
    pkg_resources.declare_namespace(__name__)
except ImportError:
    from pkgutil import extend_path
    __path__ = extend_path(__path__, __name__)
"""


def test_a13_a_namespace_that_is_declared_one_way_or_the_other(shelf: Shelf) -> None:
    assert clash(shelf("one", files={"g/__init__.py": TRIED}), shelf("two", files={"g/__init__.py": b""})) is None


def test_a13_a_file_that_is_a_folder_of_another(shelf: Shelf) -> None:
    file = shelf("one", files={"one-1.0.data/data/share/models": b"1"})
    folder = shelf("two", files={"two-1.0.data/data/share/models/a/b.bin": b"2"})
    for both in ((file, folder), (folder, file)):
        found = clash(*both)
        assert found is not None
        assert found.startswith("one 1.0 and two 1.0 both bring 'share/models', with different content")
        assert clash(*both, prefer=[both[1].name]) is None
        assert clash(*both, prefer=[both[0].name]) is not None


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        (["low>=1"], None),
        (["low<1"], "app 1.0 requires 'low<1', and there is low 1.0"),
        (["gone"], "app 1.0 requires 'gone', which is not there"),
        (["gone; python_version < '3.11'"], None),
        (["gone; platform_machine == 'x86_64'", "low; platform_machine == 'aarch64'"], None),
        (["gone; extra == 'fast'"], None),
        (["low[fast]"], "low 1.0 requires 'speed; extra == \"fast\"', which is not there"),
        (["xgboost>=2"], None),
        (["xgboost>=4"], "app 1.0 requires 'xgboost>=4', and there is xgboost-cpu 3.0"),
        (["torch==2.5.1"], None),
        (["torch>=2.6"], "app 1.0 requires 'torch>=2.6', and there is torch 2.5.1+cpu"),
        (["this is none ("], None),
    ],
)
def test_a13_every_requirement_is_met_by_what_is_installed(
    shelf: Shelf, requires: list[str], expected: str | None
) -> None:
    rest = [shelf("low", requires=["speed; extra == 'fast'"]), shelf("xgboost_cpu", "3.0"), shelf("torch", "2.5.1+cpu")]
    assert unmet(shelf("app", requires=requires), *rest) == expected


def test_what_an_environment_leaves_out_is_not_missed(shelf: Shelf) -> None:
    assert (
        unmet(shelf("xgboost", requires=["nvidia-nccl-cu12; platform_system == 'Linux'"]), exclude=["nvidia-nccl-cu12"])
        is None
    )


def test_a13_equivalents_are_of_one_another() -> None:
    assert equivalents("xgboost") == ("xgboost-cpu",)
    assert "opencv-python" in equivalents("opencv-python-headless")
    assert equivalents("numpy") == ()


def test_a_whole_serves_instead_of_its_part_and_not_the_reverse() -> None:
    assert served_by("mlflow") == ("mlflow-skinny",) and equivalents("mlflow-skinny") == ("mlflow",)
    assert equivalents("mlflow") == served_by("mlflow-skinny") == ()


@pytest.fixture
def two(workspace: Space) -> Space:
    """An environment of two distributions that bring one module."""
    workspace.wheels = make_wheels(workspace.folder / "own")
    workspace.env["UV_FIND_LINKS"] = str(workspace.wheels)
    for name, text in (("zeta", b"who = 'zeta'\n"), ("alpha", b"who = 'alpha'\n")):
        filename, data = make_wheel(name, "1.0", files={"shared/__init__.py": text})
        (workspace.wheels / filename).write_bytes(data)
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, zeta, alpha]")
    return workspace


def test_a13_a_build_names_both_owners_and_each_way_out_works(two: Space) -> None:
    two.run("build", APP, code=1).said(
        "alpha 1.0 and zeta 1.0 both bring 'lib/python3.11/site-packages/shared/__init__.py'",
        "`exclude: [alpha]`",
        "`prefer: [alpha]`",
    )
    two.edit("BUILD.yaml", "alpha]", "alpha]\n    prefer: [alpha]")
    report = two.build()
    origins = [layer["origin"] for layer in report.targets[APP]["layers"]]
    assert origins.index("alpha 1.0") > max(
        number for number, origin in enumerate(origins) if "small wheels" in origin
    )  # over the server's as well
    two.edit("BUILD.yaml", "prefer: [alpha]", "prefer: [zeta]")
    two.run("build", APP)
    two.edit("BUILD.yaml", "prefer: [zeta]", "exclude: [alpha]")
    two.run("build", APP)


BOTH = "alpha 1.0 and zeta 1.0 both bring 'lib/python3.11/site-packages/shared/__init__.py', with different content"


@pytest.fixture
def known(two: Space) -> Space:
    """As `two`, and both wheels are in the store, from builds with one of them each."""
    for name in ("alpha", "zeta"):
        two.edit("BUILD.yaml", "[numlib==1.0, zeta, alpha]", f"[{name}]")
        two.run("build", APP)
        two.edit("BUILD.yaml", f"[{name}]", "[numlib==1.0, zeta, alpha]")
    return two


def test_a13_two_owners_are_said_at_lock_time_where_their_wheels_are_known(known: Space) -> None:
    known.run("lock", code=1).said("BUILD.yaml:9:19", BOTH, "`exclude: [alpha]`", "`prefer: [alpha]`")
    known.run("lock", "--check", code=1).said(BOTH)
    for way in ("prefer: [alpha]", "prefer: [zeta]", "exclude: [alpha]"):
        known.edit("BUILD.yaml", "zeta, alpha]", f"zeta, alpha]\n    {way}")
        known.run("lock")
        known.run("build", APP)
        known.edit("BUILD.yaml", f"\n    {way}", "")


def test_a13_a_build_that_locks_says_so_at_lock_time(known: Space) -> None:
    known.run("build", APP, code=1).said("BUILD.yaml:9:19", BOTH)


def test_a13_a_server_and_its_environment_at_lock_time(known: Space) -> None:
    known.edit("BUILD.yaml", "[numlib==1.0, zeta, alpha]", "[alpha]")
    known.edit("rules/tiny.yaml", '["tinyserver~=1.0"]', '["tinyserver~=1.0", zeta]')
    known.run("lock", "//:env")
    known.run("lock", APP, code=1).said("BUILD.yaml:9:19", BOTH)


def test_a13_wheels_of_the_workspace_are_known_at_lock_time(two: Space) -> None:
    names = [f"{name}-1.0-py3-none-any.whl" for name in ("zeta", "alpha")]
    for name in names:
        two.write(f"wheels/{name}", (two.wheels / name).read_bytes())
    two.edit("BUILD.yaml", "zeta, alpha", ", ".join(f"./wheels/{name}" for name in names))
    two.run("lock", "//:env", code=1).said("BUILD.yaml:9:19", BOTH)


def test_a13_what_is_not_known_at_lock_time_is_not_fetched_for_it(two: Space) -> None:
    two.run("lock")
    wheels = {digest_of(path.read_bytes()) for path in two.wheels.iterdir()}
    assert wheels.isdisjoint(two.blobs())


@pytest.mark.parametrize("data", [b"", b"not what it was"])
def test_a13_a_wheel_that_is_damaged_is_not_known_at_lock_time(known: Space, data: bytes) -> None:
    path = known.blobs()[digest_of((known.wheels / "zeta-1.0-py3-none-any.whl").read_bytes())]
    path.chmod(0o644)
    path.write_bytes(data)
    known.run("lock")
    known.run("build", APP, code=1).said(BOTH)


def test_a13_another_wheel_in_place_of_one_is_not_believed_at_lock_time(known: Space) -> None:
    path = known.blobs()[digest_of((known.wheels / "extra-1.0-py3-none-any.whl").read_bytes())]
    path.chmod(0o644)
    path.write_bytes(make_wheel("extra", "1.0", files={"shared/__init__.py": b"who = 'extra'\n"})[1])
    known.edit("BUILD.yaml", "[numlib==1.0, zeta, alpha]", "[alpha, extra]")
    known.run("lock")


def test_a13_a_server_takes_the_equivalent_that_the_environment_has(workspace: Space) -> None:
    workspace.wheels = make_wheels(workspace.folder / "own")
    workspace.env["UV_FIND_LINKS"] = str(workspace.wheels)
    for name, requires in (("xgboost", ["heavy"]), ("xgboost_cpu", []), ("heavy", []), ("tinyserver", ["xgboost>=1"])):
        filename, data = make_wheel(name, "1.0", requires=requires, files={f"{name.removesuffix('_cpu')}.py": b""})
        (workspace.wheels / filename).write_bytes(data)
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[numlib==1.0, xgboost-cpu]")
    workspace.run("build", APP)
    lock = workspace.path("pylock.env+server-linux-amd64.toml").read_text()
    assert 'name = "xgboost"' not in lock
    assert 'name = "heavy"' not in lock


def test_a_lock_that_metadata_contradicts_is_said_before_there_is_an_image(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[needy]")
    workspace.run("lock", "//:env")
    lock = workspace.path("pylock.env-linux-amd64.toml")
    two, one = (next(workspace.wheels.glob(f"numlib-{number}-*.whl")) for number in ("2.0", "1.0"))
    text = lock.read_text().replace(two.name, one.name).replace('version = "2.0"', 'version = "1.0"')
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (two, one)]
    lock.write_text(text.replace(*digests))
    workspace.run("build", APP, code=1).said(
        "needy 1.0 requires 'numlib>=2', and there is numlib 1.0", "buildrules lock"
    )
