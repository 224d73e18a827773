"""`why` against a revision of git, and against the nearest record; `diff` with a revision."""

import json
import re

from tests.support.repository import Repository
from tests.support.space import APP, Space

SECOND = """\
  second:
    rule: model_package
    model: :m
    base_env: :env
    server: :server
    code: :other
  other: {rule: scoring_code, srcs: ["other/**"], strip_prefix: other, entry_script: score.py}
"""


def test_a_lock_that_was_missing_then_is_not_to_be_made(workspace: Space) -> None:
    locks = {path.name: path.read_bytes() for path in workspace.root.glob("*-linux-amd64.toml")}
    for name in locks:
        workspace.remove(name)
    repository = Repository(workspace.root)
    commit = repository.commit()
    for name, content in locks.items():
        workspace.write(name, content)
    told = workspace.run("why", APP, "--since", "HEAD", code=1).said(f"at {commit[:12]}: ", "missing")
    assert "buildrules lock" not in told.err


def test_since_a_revision(workspace: Space) -> None:
    space = workspace
    repository = Repository(space.root)
    commit = repository.commit()
    assert space.run("why", APP, "--since", "HEAD").out.splitlines()[0] == f"//:app  linux/amd64  since {commit[:12]}"
    quiet = space.run("why", APP, "--since", "HEAD").out
    assert "~" not in quiet and "+" not in quiet
    space.append("src/score.py", "# more\n")
    space.write("src/new.py", "a = 1\n")
    space.remove("src/helper.py")
    repository.commit()
    space.run("why", APP, "--since", "HEAD~1").said(
        "  ~ code code\n",
        "      ~ file src/score.py changed: 31 -> 38 bytes\n",
        "      + file src/new.py is new\n",
        "      - file src/helper.py is gone\n",
        "1 more are other ones by that",
    )
    assert not space.store.joinpath("workspaces").exists(), "nothing was built for that"
    space.run("why", APP, "--since", "nowhere", code=2).said("there is no revision 'nowhere' here")
    space.run("why", APP, "--since", "HEAD", "--nearest", code=2).said("goes with neither")


def test_since_a_revision_in_a_configuration(workspace: Space) -> None:
    space = workspace
    repository = Repository(space.root)
    space.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  configurations: [fast]\n")
    space.append("BUILD.yaml", "    environment: {MODE: {select: {fast: a, default: b}}}\n")
    repository.commit()
    space.edit("BUILD.yaml", "fast: a,", "fast: c,")
    space.run("why", APP, "--since", "HEAD", "--config", "fast").said("~ environment.MODE changed: a -> c")
    plain = space.run("why", APP, "--since", "HEAD").out
    assert "MODE" not in plain
    text = space.path("src/score.py").read_text()
    space.write("src/score.py", text[:-2] + "#" + text[-1])
    assert re.search(
        r"file src/score.py changed: [0-9a-f]{12} -> [0-9a-f]{12}\n", space.run("why", APP, "--since", "HEAD").out
    )


def test_before_is_what_it_was_in_the_same_configuration(workspace: Space) -> None:
    space = workspace
    space.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  configurations: [fast]\n")
    space.append("BUILD.yaml", "    environment: {MODE: {select: {fast: a, default: b}}}\n")
    space.build()
    space.build(APP, "--config", "fast")
    space.edit("BUILD.yaml", "fast: a,", "fast: c,")
    space.build(APP, "--config", "fast")
    space.run("diff", APP, code=2).said("no build here has made another image of it")
    found = space.run("diff", APP, "--config", "fast").out
    assert "a -> c" in found.replace("MODE=", "")


def test_the_nearest_record_is_another_target_s(built: Space) -> None:
    assert built.run("why", APP, "--nearest").said("nothing would run")
    built.append("BUILD.yaml", SECOND)
    for name in ("score.py", "helper.py"):
        built.write(f"other/{name}", built.path(f"src/{name}").read_text())
    built.append("other/score.py", "# mine\n")
    built.run("lock", "//:second")
    built.run("why", "//:second", "--nearest").said(
        "code other: would run; the nearest is 'code code' of //:code",
        "~ file other/score.py changed: 31 -> 38 bytes",
    )


def test_the_nearest_record_in_a_configuration(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  configurations: [fast]\n")
    workspace.append("BUILD.yaml", "    environment: {MODE: {select: {fast: a, default: b}}}\n")
    workspace.run("build", APP, "--config", "fast")
    workspace.edit("BUILD.yaml", "fast: a,", "fast: c,")
    workspace.run("why", APP, "--nearest", "--config", "fast").said(
        "the nearest is 'image of //:app' of //:app", "~ environment.MODE changed: a -> c"
    )


def test_an_image_at_a_revision(workspace: Space) -> None:
    space = workspace
    repository = Repository(space.root)
    space.write("weights/large.bin", bytes(2 << 20))
    digest = space.build().digest
    repository.commit()
    space.append("src/score.py", "# more\n")
    found = json.loads(space.run("diff", f"{APP}@HEAD", APP, "--json").out)
    assert found["from"]["digest"] == digest, "the same bytes as when it was built here"
    assert [row["name"] for row in found["files"]] == ["srv/app/score.py"]
    repository.commit()
    space.append("BUILD.yaml", "  broken: {rule: nothing}\n")
    found = json.loads(space.run("diff", f"{APP}@HEAD~1", f"{APP}@HEAD", "--json").out)
    assert found["from"]["digest"] == digest, "what lies here does not matter"
    assert [row["name"] for row in found["files"]] == ["srv/app/score.py"]
    space.append("BUILD.yaml", "  wrong: {rule: nowhere}\n")
    commit = repository.commit()[:12]
    said = space.run("size", f"{APP}@HEAD", code=2)
    assert said.err.count(f"at {commit}: ") == 2, "of each mistake"
    space.run("diff", f"{APP}@nowhere", f"{APP}@HEAD", code=2).said("there is no revision 'nowhere' here")
    assert not list((space.store / "tmp").rglob("tree")), "nothing of the revisions is left"
