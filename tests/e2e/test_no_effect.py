"""What is asked for and would not come about is said, not ignored: attributes, and files that hide each other."""

import pytest

from tests.support.space import APP, Space

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("unpack", "true"),
        ("digest", f'"{DIGEST}"'),
        ("tracking_uri", "https://mlflow.example"),
        ("connection", "store"),
        ("strip_prefix", "weights"),
    ],
)
def test_an_attribute_of_models_elsewhere_is_refused_on_one_that_is_here(
    workspace: Space, attribute: str, value: str
) -> None:
    workspace.edit("BUILD.yaml", "path: weights}", f"path: weights, {attribute}: {value}}}")
    told = workspace.run("build", APP, code=2)
    told.said(f"'{attribute}' has no effect without", "BUILD.yaml:10:")
    assert told.err.count("error:") == 1


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (f'uri: "models:/a/1", digest: "{DIGEST}"', "`digest` has no effect here"),
        ('uri: "oci://registry.example/a:b", unpack: true', "`unpack` has no effect here"),
        ('uri: "https://files.example/a", tracking_uri: "https://b.example"', "`tracking_uri` has no effect here"),
        ('uri: "https://files.example/a", digest: "sha256:zz"', "'sha256:zz' is not a digest"),
        ('uri: "https://files.example/a", download_uri: "https://files.example/b"', "'download_uri' has no effect"),
    ],
)
def test_an_attribute_of_another_kind_of_store_is_refused_before_anything_is_asked(
    workspace: Space, more: str, text: str
) -> None:
    workspace.edit("BUILD.yaml", "path: weights}", more + "}")
    workspace.run("build", APP, code=2).said(text, "BUILD.yaml:10:", "leave it out")


def test_an_answer_to_no_request(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    expected_response: src/score.py\n")
    workspace.run("build", APP, code=2).said("'expected_response' has no effect without 'sample_request'")


@pytest.mark.parametrize("line", ["mount_path: /models", "mode: download"])
def test_a_package_without_a_model_has_no_place_for_it(workspace: Space, line: str) -> None:
    workspace.edit("BUILD.yaml", "    model: :m\n", f"    {line}\n")
    workspace.run("build", APP, code=2).said(f"'{line.partition(':')[0]}' has no effect without", "BUILD.yaml:")


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"i": ("other", "/srv/model/weights")}, "/srv/model/weights/model.txt"),
        ({"i": ("other", "/data"), "j": ("weights", "/data/")}, "/data/model.txt"),
        ({"i": ("weights/labels.txt", "/data"), "j": ("other", "/data/labels.txt")}, "/data/labels.txt/model.txt"),
        ({"i": ("src/score.py", "/srv/app")}, "/srv/app/score.py"),
    ],
)
def test_two_files_at_one_place_are_refused(workspace: Space, inputs: dict[str, tuple[str, str]], path: str) -> None:
    workspace.write("other/model.txt", "another")
    targets = "".join(
        f"  {name}: {{rule: input, path: {source}, mount_path: {place}}}\n" for name, (source, place) in inputs.items()
    )
    labels = ", ".join(f'":{name}"' for name in inputs)
    workspace.append("BUILD.yaml", f"    inputs: [{labels}]\n{targets}")
    workspace.run("build", APP, code=2).said(f"would both be at '{path}'", "BUILD.yaml:", "exclude")


def test_folders_may_be_filled_by_several(workspace: Space) -> None:
    workspace.write("other/more.txt", "another")
    workspace.append(
        "BUILD.yaml", '    inputs: [":i"]\n  i: {rule: input, path: other, mount_path: /srv/model/weights}\n'
    )
    workspace.run("build", APP)


@pytest.mark.parametrize("place", ["/proc/model", "/dev", "/sys/x"])
def test_a_place_that_is_hidden_in_a_container_is_refused(workspace: Space, place: str) -> None:
    workspace.append("BUILD.yaml", f'    inputs: [":i"]\n  i: {{rule: input, path: weights, mount_path: {place}}}\n')
    workspace.run("build", APP, code=2).said("hides what the image has there", "BUILD.yaml:20:")
