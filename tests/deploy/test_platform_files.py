"""Platforms as files: a workspace's own, what is wrong in one, how they are listed."""

import re

import pytest
import yaml

from buildrules.deploy import deployable
from buildrules.errors import LoadError
from buildrules.rules.documents import fill, join
from buildrules.rules.platform import LISTS, NAMES, read_platform
from buildrules.rules.platforms import Platforms
from buildrules.rules.template import MissingValueError
from tests.support.space import APP, Space

NOMAD = """\
platform: nomad
summary: A job of Nomad.
attributes:
  count: {type: integer, default: 2, doc: How many.}
  regions: {type: string_list, default: [], doc: Where.}
refuses: {job: not tried}
files:
  "{name}.nomad.json":
    - Job:
        ID: "{name}"
        Datacenters: ["{regions}"]
        Count: "{count}"
        Config: {image: "{image}", ports: [{each: ports, item: "{each.name}"}]}
"""


def test_a_workspace_brings_its_own(built: Space) -> None:
    built.write("rules/deploy/nomad.yaml", NOMAD)
    words = ("deploy-files", APP, "--to", "hub.example/app", "-o", "-", "--for")
    made = yaml.safe_load(built.run(*words, "//rules/deploy:nomad", "--set", "regions=[a, b]").out)["Job"]
    assert made["Datacenters"] == ["a", "b"] and made["Count"] == 2
    assert made["Config"]["ports"] == ["http"]
    assert "Datacenters" not in yaml.safe_load(built.run(*words, "//rules/deploy:nomad").out)["Job"]
    built.run(*words, "nomad", code=2).said("no platform 'nomad'", "did you mean '//rules/deploy:nomad'?")
    built.run(*words, "//rules/deploy:nomat", code=2).said("did you mean '//rules/deploy:nomad'?")
    built.run(*words, "//rules/deploy:x", "--to", "h.example/a", code=2).said("no platform", "//rules/deploy:nomad")


def test_they_are_listed(workspace: Space) -> None:
    workspace.write("rules/deploy/nomad.yaml", NOMAD)
    result = workspace.run("deploy-files", "--list")
    result.said("kubernetes ", "compose ", "//rules/deploy:nomad  A job of Nomad.", "--list --for PLATFORM")
    workspace.run("deploy-files", "--list", "--for", "azureml").said("instance_type ", "Standard_DS3_v2", "{name}-end")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--for", "kubernets"], "did you mean 'kubernetes'?"),
        (["--for", "k8s"], "kserve"),
        ([], "no platform given: --for appservice|azureml|compose|kserve|kubernetes"),
        (["--for", "compose", "--set", "restrat=no"], "did you mean 'restart'?"),
        (["--for", "compose", "--set", "restart"], "'restart' is not NAME=VALUE"),
        (["--for", "compose", "--set", "restart=alwys"], "did you mean 'always'?"),
        (["--for", "kubernetes", "--set", "replicas=two"], "expected a whole number"),
        (["--for", "kubernetes", "--set", "replicas="], "gives no value"),
    ],
)
def test_a_wrong_command_line_builds_nothing(workspace: Space, words: list[str], said: str) -> None:
    result = workspace.run("deploy-files", APP, *words, code=2)
    result.said(said)
    assert "built" not in result.out + result.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("{count}", "{cuont}"), r"nomad.yaml:12:\d+: unknown name '{cuont}'(.|\n)*did you mean 'count'"),
        (("each: ports", "each: port"), "there is no list 'port'(.|\n)*did you mean 'ports'"),
        (("{each.name}", "{each.nmae}"), "unknown name '{each.nmae}'"),
        (('["{regions}"]', '["in {regions}"]'), "'{regions}' is a string_list and must stand alone"),
        (("{image}", "{readiness}"), "it is a list: write a map with `each: readiness`"),
        (("{image}", "{image"), "a single '{'"),
        (("platform: nomad", "platform: other"), "must have the name 'nomad'"),
        (("summary:", "sumary:"), "did you mean 'summary'"),
        (("{job: not tried}", "{jobs: not tried}"), "'jobs' cannot be refused(.|\n)*did you mean 'job'"),
        (("refuses: {job: not tried}\n", ""), "neither `jobs` nor a reason"),
        (("refuses:", "needs: [score]\nrefuses:"), "unknown route 'score'"),
        (("type: integer", "type: label"), "cannot be of type 'label'"),
        (("  count:", "  memory: {type: string}\n  count:"), "'memory' cannot be the name of an attribute"),
        (("default: 2", "default: two"), "expected a whole number"),
        (('"{name}.nomad.json"', '"../{name}.json"'), ""),
    ],
)
def test_what_is_wrong_in_a_file(change: tuple[str, str], said: str) -> None:
    assert change[0] in NOMAD
    text = NOMAD.replace(*change)
    if said:
        with pytest.raises(LoadError) as caught:
            read_platform("rules/deploy/nomad.yaml", "//rules/deploy:nomad", text.encode())
        found = "\n".join(f"{one.position}: {one.message}\n{one.hint}" for one in caught.value.errors or [caught.value])
        assert re.search(said, found), found
    else:
        platform = read_platform("rules/deploy/nomad.yaml", "//rules/deploy:nomad", text.encode())
        with pytest.raises(LoadError, match="no plain path"):
            platform.documents({"name": "x", "image": "y", "ports": []}, job=False)


def test_what_has_no_value_is_said_or_left_out(built: Space) -> None:
    built.write("rules/deploy/nomad.yaml", NOMAD.replace('"{name}.nomad.json"', '"{job.input}.json"'))
    words = ("deploy-files", APP, "--to", "hub.example/app", "--for", ":nomad")
    built.run(*words, cwd="rules/deploy", code=2).said("//rules/deploy:nomad' cannot write '{job.input}.json'")
    built.write("rules/deploy/nomad.yaml", NOMAD + "next: nomad {job.input}\n")
    assert built.run(*words, cwd="rules/deploy").out.count("next:") == 1  # to push it


def test_no_file_no_platform() -> None:
    with pytest.raises(LoadError, match="is empty"):
        read_platform("a/b.yaml", "//a:b", b"# nothing\n")


def test_all_built_in_ones_can_be_read_and_say_what_they_are_for() -> None:
    for platform in Platforms().all():
        assert platform.file.summary and platform.file.doc and platform.file.next
        assert all(one.doc for one in platform.file.attributes.values())


def test_documents() -> None:
    names = {"a": 1, "none": None, "list": [], "several": [{"x": 1}, {"x": 2}], "words": ["p", "q"], "word": "w"}
    assert fill({"k": "{a}", "l": "{none}", "m": {"n": "{none}"}, "o": {}}, names) == {"k": 1, "o": {}}
    assert fill({"{word}-{a}": ["{words}", "z", ["{none}"]]}, names) == {"w-1": ["p", "q", "z"]}
    assert fill({"k": [{"each": "several", "y": "{each.x}"}, {"each": "list", "y": 1}]}, names) == {
        "k": [{"y": 1}, {"y": 2}]
    }
    assert fill({"k": [{"each": "words", "item": "<{each}>"}]}, names) == {"k": ["<p>", "<q>"]}
    assert fill({"k": {"each": "several", "y{each.x}": "{a}"}}, names) == {"k": {"y1": 1, "y2": 1}}
    with pytest.raises(MissingValueError):
        fill({"k": {"each": "list", "y": 1}}, names)
    assert join({"a": {"b": [1]}}, {"a": {"b": [2], "c": 3}}) == {"a": {"b": [1, 2], "c": 3}}


def test_the_names_that_templates_may_use_are_those_that_packages_have(built: Space) -> None:
    """A template of everything is filled in, so none of the names is a promise only."""
    plain = "\n".join(f'        "{name}": "{{{name}}}"' for name in NAMES)
    lists = "\n".join(
        f"        {name}: [{{each: {name}, " + ", ".join(f'{field}: "{{each.{field}}}"' for field in fields) + "}]"
        for name, fields in LISTS.items()
    )
    built.write(
        "rules/deploy/everything.yaml",
        f'platform: everything\nrefuses: {{job: "no"}}\nfiles:\n  all.yaml:\n    - all:\n{plain}\n{lists}\n',
    )
    built.append("BUILD.yaml", "    user: '1000'\n    resources: {gpu: 1}\n")
    words = ("deploy-files", APP, "--for", "//rules/deploy:everything", "--to", "hub.example/app", "-o", "-")
    found = yaml.safe_load(built.run(*words).out)["all"]
    assert set(NAMES) - set(found) == {"job.input", "job.output"}
    assert set(LISTS) - set(found) == {"secrets"}
    assert all(set(found[name][0]) == set(LISTS[name]) for name in LISTS if name in found)
    assert deployable.platform_name("a/B_c", 20) == "a-b-c"
