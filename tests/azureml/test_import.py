"""What `buildrules import azureml` does to a BUILD.yaml that is there, or is not."""

import os

import pytest

from tests.azureml.conftest import Folder

PACKAGE = """\
target_environment: scored
base_environment_source: {resource_id: "azureml:my-env:1"}
inferencing_server: {type: azureml_online, code_configuration: {code: src, scoring_script: score.py}}
"""
FILES = {
    "package.yml": PACKAGE,
    "env.yml": "name: my-env\nimage: registry.example/x:1\nconda_file: conda.yaml\n",
    "conda.yaml": "dependencies: [python=3.11, numpy]\n",
    "src/score.py": "def init():\n    pass\n\n\ndef run(data):\n    return data\n",
    "model/m.txt": "1\n",
}
OWN = """\
workspace:
  name: acme

targets:
    # somebody's own
    mine: {rule: debian_base, suite: trixie}    # kept

# the end
"""


@pytest.fixture
def azure(folder: Folder) -> Folder:
    return folder.write(FILES)


def test_a_second_import_changes_nothing(azure: Folder) -> None:
    azure.run("import", "azureml", "package.yml")
    first = azure.build_file()
    azure.run("import", "azureml", "package.yml").has("BUILD.yaml has it all already")
    assert azure.build_file() == first


def test_what_is_there_stays(azure: Folder) -> None:
    azure.write({"BUILD.yaml": OWN})
    azure.run("import", "azureml", "package.yml").has("added to BUILD.yaml: python311, my-env, model, src-code, scored")
    text = azure.build_file()
    assert text.startswith(OWN.partition("\n# the end")[0])
    assert text.endswith("\n# the end\n")
    assert "\n    scored:\n      rule: model_package\n" in text
    assert {str(label) for label in azure.loads().workspace.targets} >= {"//:mine", "//:scored"}


@pytest.mark.parametrize("own", ["workspace: {name: acme}\n", "workspace:\n  name: acme\ntargets:\n", "", "# empty\n"])
def test_a_file_without_targets(azure: Folder, own: str) -> None:
    azure.write({"BUILD.yaml": own.replace("{name: acme}", "\n  name: acme")})
    azure.run("import", "azureml", "package.yml")
    assert "//:scored" in {str(label) for label in azure.loads().workspace.targets}


def test_targets_in_braces(azure: Folder) -> None:
    azure.write({"BUILD.yaml": "workspace:\n  name: acme\ntargets: {}\n"})
    azure.run("import", "azureml", "package.yml")
    azure.loads()
    azure.write({"BUILD.yaml": "workspace:\n  name: acme\ntargets: {a: {rule: debian_base}}\n"})
    azure.run("import", "azureml", "package.yml", code=2).has("BUILD.yaml:3:10", "targets written in braces")


def test_another_target_of_the_name_is_not_overwritten(azure: Folder) -> None:
    own = OWN.replace("mine:", "my-env:")
    azure.write({"BUILD.yaml": own})
    said = azure.run("import", "azureml", "package.yml", code=2)
    said.has("-    my-env: {rule: debian_base, suite: trixie}", "+    my-env: {rule: python_env")
    said.has("BUILD.yaml has other targets of these names: my-env")
    assert "my-env: {rule: debian_base, suite: trixie}    # kept" in azure.build_file()
    azure.run("import", "azureml", "package.yml", "--force")
    assert "kept" not in azure.build_file()
    azure.loads()


def test_a_dry_run_writes_nothing(azure: Folder) -> None:
    azure.run("import", "azureml", "package.yml", "--dry-run").has("+  scored:")
    assert not (azure.root / "BUILD.yaml").exists()


def test_below_a_workspace_no_second_one_is_made(folder: Folder) -> None:
    folder.write({f"models/a/{path}": text for path, text in FILES.items()})
    folder.write({"BUILD.yaml": "workspace:\n  name: acme\n"})
    folder.run("import", "azureml", "models/a/package.yml").has("next: cd models/a; buildrules build :scored")
    assert "workspace:" not in folder.build_file("models/a/BUILD.yaml")
    assert "//models/a:scored" in {str(label) for label in folder.loads().workspace.targets}


def test_the_output_must_hold_all_files(azure: Folder) -> None:
    azure.run("import", "azureml", "package.yml", "--output", "src", code=2).has("lies outside of 'src'", "--output .")
    azure.run("import", "azureml", "package.yml", "--output", ".")


def test_a_connection_belongs_to_the_workspace_above(folder: Folder) -> None:
    folder.write(
        {
            "BUILD.yaml": "workspace:\n  name: acme\n",
            "sub/feed.yml": "name: feed\ntype: python_feed\ntarget: https://feed.example/simple\n"
            "credentials: {type: pat, pat: canary}\n",
        }
    )
    said = folder.run("import", "azureml", "sub/feed.yml")
    said.has("add this to `workspace:` in BUILD.yaml:", "pat: {env: FEED_PAT}")
    assert "canary" not in said.out + said.err
    assert not (folder.root / "sub/BUILD.yaml").exists()


@pytest.mark.parametrize("target", ["https://h/simple?token=canary", "https://u:canary/x@h/s", "https://u:canary@h"])
def test_an_address_with_a_secret_is_not_written(folder: Folder, target: str) -> None:
    folder.write({"feed.yml": f"name: feed\ntype: python_feed\ntarget: {target}\ncredentials: {{type: none}}\n"})
    said = folder.run("import", "azureml", "feed.yml", code=2).has("feed.yml:3:9", "the address holds a")
    assert "canary" not in said.out + said.err
    assert not (folder.root / "BUILD.yaml").exists()


def test_secrets_are_never_repeated(folder: Folder) -> None:
    """Neither in what is written nor in what is said, whatever is wrong around them."""
    head = "name: c\ntype: {type}\ntarget: https://x.example\ncredentials: "
    for number, (kind, credentials) in enumerate(
        [
            ("s3", "{type: access_key, access_key_id: i, secret_access_key: canary}"),
            ("s3", "{type: access_key, secret_acess_key: canary}"),
            ("python_feed", "{type: pta, pat: canary}"),
            ("azure_blob", "{type: sas, sas_token: canary}"),
            ("custom", "{type: account_key, account_key: canary}"),
            ("custom", "{type: api_key, key: [canary]}"),
            ("python_feed", "[pat, {pat: canary}]"),
            ("python_feed", "user:canary"),
            ("python_feed", "'canary'"),
        ]
    ):
        folder.write({f"{number}/c.yml": head.replace("{type}", kind) + credentials + "\n"})
        said = folder.run("import", "azureml", f"{number}/c.yml", code=None)
        written = folder.root / str(number) / "BUILD.yaml"
        assert "canary" not in said.out + said.err + (written.read_text() if written.exists() else ""), kind


def test_a_pipe_is_no_script(azure: Folder) -> None:
    """It would wait for its other end."""
    package = azure.root / "package.yml"
    package.write_text(
        package.read_text().replace("code: src, scoring_script: score.py", "code: code, scoring_script: x.py")
    )
    os.mkfifo(azure.root / "src/pipe.py")
    azure.run("import", "azureml", "package.yml", code=2).has("there is 'src/score.py'")


def test_links_that_lead_away_are_followed(azure: Folder) -> None:
    """The files are named where they are: a workspace holds no link that leaves it."""
    away = azure.root.parent / "away"
    away.mkdir()
    (azure.root / "model").rename(away / "trained")
    (azure.root / "model").symlink_to("../away/trained")
    azure.run("import", "azureml", "package.yml", code=0).has(
        "wrote ../BUILD.yaml", "model is a link to ../away/trained"
    )
    assert "model: {rule: model, path: away/trained}" in azure.build_file("../BUILD.yaml")


def test_links_inside_stay(azure: Folder) -> None:
    (azure.root / "model").rename(azure.root / "trained")
    (azure.root / "model").symlink_to("trained")
    azure.run("import", "azureml", "package.yml")
    assert "model: {rule: model, path: model}" in azure.build_file()


def test_a_base_without_a_registry(azure: Folder) -> None:
    """It is Docker Hub's, as everywhere; a workspace may say that it is another one's."""
    azure.run("import", "azureml", "package.yml", "--base", "python:3.11")
    assert 'image: "docker.io/library/python:3.11"' in azure.build_file()
    azure.write({"BUILD.yaml": "workspace:\n  name: acme\n  default_registry: registry.example/hub\n"})
    azure.run("import", "azureml", "package.yml", "--base", "python:3.11")
    assert 'image: "python:3.11"' in azure.build_file()
