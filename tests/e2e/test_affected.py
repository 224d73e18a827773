"""`affected` names what `build` would make anew, and says why; what it cannot know is an error."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.cli.chosen_tests import chosen
from buildrules.cli.took import keep_failed, keep_seconds
from tests.support.repository import Repository
from tests.support.space import Space

PACKAGE = """\
targets:
  m: {rule: model, path: weights}
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  app: {rule: model_package, model: ":m", base_env: "//:ENV", server: "//:server", code: "CODE"}
"""
ROOT = """\
workspace: {name: acme, platforms: [linux/amd64]}
targets:
  base: {rule: oci_base, layout: base}
  env: {rule: python_env, base: ":base", requirements: [numlib==1.0]}
  other: {rule: python_env, base: ":base", requirements: [numlib==1.0, extra==1.0]}
  server: {rule: //rules:tiny}
"""
CODE = "# NAME\ndef init():\n    pass\ndef run(data):\n    return data\n"
NAMES = ("a", "b", "b/c")


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, template: Path) -> Path:
    """A workspace of three packages and its locks; a store with all it makes beside it."""
    space = Space(tmp_path_factory.mktemp("many"), wheelhouse)
    shutil.copytree(template, space.root, ignore=shutil.ignore_patterns("*.toml"))
    space.write("BUILD.yaml", ROOT)
    for name, env, code in zip(NAMES, ("env", "other", "env"), ("//a:code", ":code", "//a:code"), strict=True):
        space.write(f"{name}/BUILD.yaml", PACKAGE.replace("ENV", env).replace("CODE", code))
        space.write(f"{name}/src/score.py", CODE.replace("NAME", name))
        space.write(f"{name}/src/deep/x.py", f"x = {name!r}\n")
        space.write(f"{name}/weights/w.bin", name * 50)
    space.build("//...")
    Repository(space.root).commit()
    return space.folder


def copy_of(many: Path, folder: Path, wheelhouse: Path) -> Space:
    space = Space(folder, wheelhouse)
    for name in ("ws", "store"):
        shutil.copytree(many / name, folder / name, symlinks=True)
    return space


def edits(space: Space) -> dict[str, Callable[[], object]]:
    """Things that people do. Each can be done once."""

    def lock(requirement: str) -> None:
        space.edit("BUILD.yaml", "requirements: [numlib==1.0]", f"requirements: [{requirement}]")
        space.run("lock")

    return {
        "a source": lambda: space.append("a/src/score.py", "# more\n"),
        "a new source": lambda: space.write("b/src/new.py", "new = 1\n"),
        "a source gone": lambda: space.remove("a/src/deep/x.py"),
        "a source moved": lambda: os.rename(space.path("b/src/deep/x.py"), space.path("b/src/y.py")),
        "weights": lambda: space.append("b/c/weights/w.bin", "more"),
        "a file nobody asks for": lambda: space.write("b/notes.txt", "note\n"),
        "executable": lambda: space.path("b/src/score.py").chmod(0o755),
        "a comment": lambda: space.append("b/BUILD.yaml", "# more\n"),
        "the same globs": lambda: space.edit("a/BUILD.yaml", '["src/**"]', '["src/*.py", "src/deep/**"]'),
        "fewer globs": lambda: space.edit("b/c/BUILD.yaml", '["src/**"]', '["src/*.py"]'),
        "a label": lambda: space.edit("b/BUILD.yaml", 'code: ":code"}', 'code: ":code", labels: {k: v}}'),
        "another environment": lambda: space.edit("b/c/BUILD.yaml", "//:env", "//:other"),
        "a rule": lambda: space.edit("rules/tiny.yaml", "default: 2", "default: 3"),
        "a rule's words": lambda: space.edit("rules/tiny.yaml", "Threads that answer", "How many answer"),
        "a new package": lambda: shutil.copytree(space.path("b"), space.path("d")),
        "a package gone": lambda: shutil.rmtree(space.path("b/c")),
        "a package moved": lambda: os.rename(space.path("b/c"), space.path("e")),
        "another version": lambda: lock("numlib==2.0"),
        "another distribution": lambda: lock("numlib==1.0, extra==1.0"),
        "a comment in a lock": lambda: space.append("pylock.other-linux-amd64.toml", "# more\n"),
        "a folder": lambda: space.path("b/src/empty").mkdir(),
    }


EDITS = sorted(edits(Space.__new__(Space)))


def build(space: Space) -> dict[str, str | None]:
    return space.build("//...").digests


@settings(max_examples=30 if "CI" in os.environ else 4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.sampled_from(EDITS), max_size=1),
    done=st.lists(st.sampled_from(EDITS), unique=True, min_size=1, max_size=3),
)
def test_affected_is_what_a_build_makes_anew(
    many: Path, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory, before: list[str], done: list[str]
) -> None:
    """With and without what is not committed, whatever was committed since."""
    space = copy_of(many, tmp_path_factory.mktemp("affected"), wheelhouse)
    repository = Repository(space.root)
    todo = edits(space)
    try:
        for name in before:
            todo[name]()
        first = repository.commit()
        was = build(space)
        for name in done:
            if name not in before:
                todo[name]()
    except (FileNotFoundError, AssertionError):
        return  # two edits that exclude each other
    found = set(space.run("affected", "--since", first).out.split())
    assert set(space.run("affected", "--since", first).out.split()) == found  # the quick way, if it can be gone
    assert space.run("affected", "--since", first, "--committed").out == ""
    now = build(space)
    assert found == {label for label, digest in now.items() if was.get(label) != digest}
    repository.commit()
    assert set(space.run("affected", "--since", first, "--committed").out.split()) == found
    assert space.run("affected", "--since", "HEAD").out == ""


def test_outputs_and_reasons(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    space = copy_of(many, tmp_path / "one", wheelhouse)
    since = ("affected", "--since", "HEAD")
    assert space.run(*since, "-o", "github-matrix").out == '{"include": []}\n'
    assert json.loads(space.run(*since, "-o", "json").out) == {"affected": []}
    assert "nothing is affected" in space.run(*since, "-o", "gitlab").out
    space.append("a/src/score.py", "# more\n")
    space.edit("BUILD.yaml", "numlib==1.0, extra==1.0", "numlib==2.0, extra==1.0")
    space.run("lock")
    assert space.run(*since).out.split() == ["//:other", "//a:app", "//b:app", "//b/c:app"]
    assert space.run(*since, "//b/...").out.split() == ["//b:app", "//b/c:app"]
    assert space.run(*since, ":all", cwd="a").out.split() == ["//a:app"]
    space.run(*since, "//a:ap", code=2).said("no target matches '//a:ap'", "did you mean '//a:app'?")
    assert json.loads(space.run(*since, "--shards", "3", "-o", "json").out)["shards"] == [
        ["//:other", "//b:app"], ["//a:app"], ["//b/c:app"],
    ]  # fmt: skip
    rows = json.loads(space.run(*since, "-o", "github-matrix", "--shards", "2").out)["include"]
    assert sorted(" ".join(row["labels"] for row in rows).split()) == sorted(space.run(*since).out.split())
    assert [row["name"] for row in rows] == ["1 of 2", "2 of 2"]
    assert space.run(*since, "--why", "//a:app").out.splitlines() == [
        "//a:app: changed since HEAD",
        "  code code",
        "      file a/src/score.py changed: 56 -> 63 bytes",
        "  image of //a:app",
    ]
    assert "numlib 1.0 -> 2.0" in space.run(*since, "--why", "//b:app").out
    both = space.run(*since, "--why", "//b:app", "--why", "//a:app").out
    assert both == "".join(space.run(*since, "--why", label).out for label in ("//b:app", "//a:app"))
    assert "score.py" not in space.run(*since, "--why", "//b:app").out
    assert space.run("affected", "--since", "HEAD", "--why", "//:env").out == "//:env: not affected since HEAD\n"
    space.run(*since, "--why", "//a:ap", code=2).said("nothing is built for '//a:ap'", "did you mean '//a:app'?")


def test_jobs_that_build_and_test(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    """Each test is in the job of its package, also where only the test is another one."""
    space = copy_of(many, tmp_path / "one", wheelhouse)
    for name in NAMES:
        space.append(f"{name}/BUILD.yaml", "  asks: {rule: package_test, package: ':app', requests: [{json: 1}]}\n")
    Repository(space.root).commit()
    space.append("b/src/score.py", "# more\n")
    space.edit("a/BUILD.yaml", "{json: 1}", "{json: 2}")
    both = ("affected", "--since", "HEAD", "--with-tests")
    assert json.loads(space.run(*both, "-o", "github-matrix").out)["include"] == [
        {"name": "//a:asks", "labels": "", "tests": "//a:asks"},
        {"name": "//b:app", "labels": "//b:app", "tests": "//b:asks"},
    ]
    assert json.loads(space.run(*both, "-o", "json", "--shards", "1").out) == {
        "affected": ["//b:app"],
        "tests": ["//a:asks", "//b:asks"],
        "shards": [{"labels": ["//b:app"], "tests": ["//a:asks", "//b:asks"]}],
    }
    assert space.run(*both).out == "//a:asks\n//b:app //b:asks\n"
    assert '  variables:\n    LABELS: "//b:app"\n    TESTS: "//b:asks"\n' in space.run(*both, "-o", "gitlab").out


def test_what_cannot_be_known_is_an_error(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    """And never everything, in silence."""
    space = copy_of(many, tmp_path / "one", wheelhouse)
    repository = Repository(space.root)
    space.run("affected", code=2).said("Missing option '--since'")
    space.run("affected", "--since", "nowhere", code=2).said("there is no revision 'nowhere' here", "git fetch")
    space.edit("a/BUILD.yaml", "path: weights", "paht: weights")
    broken = repository.commit()
    space.edit("a/BUILD.yaml", "paht: weights", "path: weights")
    space.run("affected", "--since", broken, code=2).said(f"at {broken[:12]}", "has no attribute 'paht'")
    space.remove("pylock.env-linux-amd64.toml")
    space.run("affected", "--since", "HEAD~1", code=1).said("the lock 'pylock.env-linux-amd64.toml'", "buildrules lock")
    shutil.copytree(tmp_path / "one", tmp_path / "clone")
    shutil.rmtree(tmp_path / "clone" / "ws")
    repository.git("clone", "-q", "--depth=1", f"file://{space.root}", str(tmp_path / "clone" / "ws"))
    clone = Space(tmp_path / "clone", wheelhouse)
    clone.run("affected", "--since", "HEAD~1", code=2).said("this is a shallow clone", "git fetch --unshallow")


def test_configurations_and_platforms_count(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    """Whatever asks about changes plans for those of the command line, and what is kept of one is not another's."""
    space = copy_of(many, tmp_path / "one", wheelhouse)
    space.edit("BUILD.yaml", "name: acme,", "name: acme, configurations: [gpu],")
    space.edit("b/c/BUILD.yaml", 'code: "//a:code"', "code: {select: {gpu: //b:code, default: //a:code}}")
    space.append("b/c/BUILD.yaml", TEST.format(n=1, status=200))
    Repository(space.root).commit()
    since, gpu = ("affected", "--since", "HEAD"), ("--config", "gpu")
    for _ in range(2):  # at first by planning, then by what is kept
        assert space.run(*since).out == space.run(*since, *gpu).out == ""
    space.append("b/src/score.py", "# more\n")
    for _ in range(2):
        assert space.run(*since).out.split() == ["//b:app"]
        assert space.run(*since, *gpu).out.split() == ["//b:app", "//b/c:app"]
    assert "score.py changed" in space.run(*since, *gpu, "--why", "//b/c:app").out
    space.run(*since, "--config", "tpu", code=2).said("no configuration 'tpu'")
    with space.inside(".", {}):
        for configurations, expected in (((), []), (("gpu",), ["//b/c:t1"])):
            found = chosen(
                str(space.root), "", ["//..."], since="HEAD", failed=False, shard=None, configurations=configurations
            )
            assert found.labels == expected
    space.run("test", "//...", "--affected", "--platform", "linux/s390x", code=2).said("linux/s390x")
    for words, code in ((gpu, "//b:code"), ((), "//a:code")):
        assert code in space.run("query", "deps(//b/c:app)", "-o", "label", *words).out.split()
        inputs = space.run("query", "//b/c:app", "-o", "inputs", *words).out.split()
        assert f"{code[2:].split(':')[0]}/src/score.py" in inputs
    space.run("query", *gpu, "--config", "tpu", code=2).said("no configuration 'tpu'")


def test_a_lock_that_was_not_there_makes_new_what_needs_it(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    space = copy_of(many, tmp_path / "one", wheelhouse)
    lock = "pylock.other-linux-amd64.toml"
    text = space.path(lock).read_text()
    space.remove(lock)
    Repository(space.root).commit()
    space.write(lock, text)
    space.append("a/src/score.py", "# more\n")
    assert space.run("affected", "--since", "HEAD").out.split() == ["//:other", "//a:app", "//b:app", "//b/c:app"]


def test_a_submodule_and_what_git_ignores(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    (inner.root / "shared.py").write_text("one = 1\n")
    inner.commit()
    space = copy_of(many, tmp_path / "one", wheelhouse)
    repository = Repository(space.root)
    repository.git("submodule", "--quiet", "add", str(inner.root), "b/src/inner")
    space.write(".gitignore", "*.big\n")
    space.write("a/weights/x.big", "large")
    repository.commit()
    assert space.run("affected", "--since", "HEAD").out == ""
    space.write("b/src/inner/shared.py", "one = 2\n")
    assert space.run("affected", "--since", "HEAD").out.split() == ["//b:app"]
    Repository(space.path("b/src/inner")).commit()
    repository.commit()
    assert space.run("affected", "--since", "HEAD~1", "--committed").out.split() == ["//b:app"]


def test_a_submodule_that_is_not_checked_out(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    """It may hold anything; where no glob reaches it, that does not matter."""
    inner = Repository(tmp_path / "inner")
    (inner.root / "shared.py").write_text("one = 1\n")
    inner.commit()
    space = copy_of(many, tmp_path / "one", wheelhouse)
    repository = Repository(space.root)
    repository.git("submodule", "--quiet", "add", str(inner.root), "b/src/inner")
    repository.git("submodule", "--quiet", "add", str(inner.root), "docs/inner")
    repository.commit()
    for _ in range(2):
        assert space.run("affected", "--since", "HEAD").out == ""
    repository.git("submodule", "--quiet", "deinit", "docs/inner")
    for _ in range(2):
        assert space.run("affected", "--since", "HEAD").out == ""
    repository.git("submodule", "--quiet", "deinit", "b/src/inner")
    missing = "the submodule 'b/src/inner' is not checked out"
    for _ in range(2):
        space.run("affected", "--since", "HEAD", code=2).said(missing, "run `git submodule update --init`")
    space.run("why", "//b:app", "--since", "HEAD", code=2).said(missing)
    assert "steps are as they were" in space.run("why", "//a:app", "--since", "HEAD").out
    repository.git("submodule", "--quiet", "update", "--init")
    assert space.run("affected", "--since", "HEAD").out == ""
    os.rename(space.path("b/src/inner"), space.folder / "elsewhere")
    space.run("affected", "--since", "HEAD", code=2).said(missing)


def test_what_git_does_not_look_at_is_seen(
    many: Path, wheelhouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags of the index, settings, repositories in the workspace, and variables that lead git to another one."""
    space = copy_of(many, tmp_path / "one", wheelhouse)
    repository = Repository(space.root)
    for _ in range(2):
        assert space.run("affected", "--since", "HEAD").out == ""
    for flag in ("skip-worktree", "assume-unchanged"):
        repository.git("update-index", f"--{flag}", "a/src/score.py", "b/src/score.py")
        assert space.run("affected", "--since", "HEAD").out == ""
        space.append("b/src/score.py", "# more\n")
        assert space.run("affected", "--since", "HEAD").out.split() == ["//b:app"]
        repository.git("update-index", f"--no-{flag}", "a/src/score.py", "b/src/score.py")
        repository.git("checkout", "-q", ".")
    repository.git("config", "core.fileMode", "false")
    repository.git("config", "core.autocrlf", "input")
    space.path("b/src/score.py").chmod(0o755)
    assert space.run("affected", "--since", "HEAD").out.split() == ["//b:app"]
    space.path("b/src/score.py").chmod(0o644)
    space.write("b/src/score.py", space.path("b/src/score.py").read_text().replace("\n", "\r\n"))
    assert space.run("affected", "--since", "HEAD").out.split() == ["//b:app"]
    repository.git("checkout", "-q", ".")
    other = Repository(tmp_path / "other")
    other.commit()
    for name, value in (("GIT_DIR", other.root / ".git"), ("GIT_WORK_TREE", other.root), ("GIT_INDEX_FILE", "no")):
        monkeypatch.setenv(name, str(value))
    assert space.run("affected", "--since", "HEAD").out == ""
    space.append("a/src/score.py", "# more\n")
    assert space.run("affected", "--since", "HEAD").out.split() == ["//a:app", "//b/c:app"]
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    repository.git("checkout", "-q", ".")
    Repository(space.path("b/src/nest"))
    space.write("b/src/nest/x.py", "x = 1\n")
    for _ in range(2):
        assert space.run("affected", "--since", "HEAD").out.split() == ["//b:app"]
    assert "file b/src/nest/x.py is new" in space.run("why", "//b:app", "--since", "HEAD").out


# -- tests ------------------------------------------------------------------------------------------------------------

TEST = """
  t{n}:
    rule: package_test
    package: ":app"
    requests: [{{path: /healthz, expect: {{status: {status}}}}}]
"""


def test_tests_in_parts_are_all_and_none_twice(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    space = copy_of(many, tmp_path / "one", wheelhouse)
    for name in NAMES:
        for n in range(3):
            space.append(f"{name}/BUILD.yaml", TEST.format(n=n, status=200))
    every = space.run("query", "tests(//...)", "-o", "label").out.split()
    assert len(every) == 9
    root = str(space.root)
    with space.inside(".", {}):
        whole = chosen(root, "", ["//..."], since=None, failed=False, shard=None).labels
        for count in (1, 2, 4, 20):
            parts = [
                chosen(root, "", ["//..."], since=None, failed=False, shard=(n, count)).labels
                for n in range(1, count + 1)
            ]
            assert sorted(label for part in parts for label in part) == sorted(whole)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert set(every) < set(whole)
        seconds = {label: 1.0 + number for number, label in enumerate(every)}
        reports = [space.folder / "first.json", space.folder / "second.json"]
        for report, mine in zip(reports, (every[:5], every[5:]), strict=True):
            tests = [{"label": label, "status": "passed", "seconds": seconds[label]} for label in mine]
            report.write_text(json.dumps({"tests": [*tests, {"label": "//a:app", "status": "failed"}]}))
        for count in (1, 2, 4):
            parts = [
                chosen(root, "", ["//..."], since=None, failed=False, shard=(n, count), timings=files).labels
                for n in range(1, count + 1)
                for files in [list(map(str, reports[:: -1 if n % 2 else 1]))]
            ]
            assert sorted(label for part in parts for label in part) == sorted(whole)
            loads = [sum(seconds.get(label, 5.0) for label in part) for part in parts]
            assert max(loads) - min(loads) <= max(seconds.values())
        one = chosen(root, "", ["//a:app", "-//a:t1"], since=None, failed=False, shard=None).labels
        assert one == ["//a:app", "//a:t0", "//a:t2"]
        keep_failed(root, {"//a:t0", "//b:t1"}, set())
        keep_failed(root, set(), {"//b:t1"})
        assert chosen(root, "", ["//..."], since=None, failed=True, shard=None).labels == ["//a:t0"]
    Repository(space.root).commit()
    space.append("b/src/score.py", "# more\n")
    space.edit("a/BUILD.yaml", "status: 200", "status: 201")
    with space.inside(".", {}):
        found = chosen(root, "", ["//..."], since="HEAD", failed=False, shard=None).labels
    assert set(found) & set(every) == {"//a:t0", "//a:t1", "//a:t2", "//b:t0", "//b:t1", "//b:t2"}
    space.run("test", "//...", "--shards", "3/2", code=2).said("'3/2' is no part of tests", "1/4")
    shard = ("test", "//...", "--shards", "1/2", "--timings")
    space.run(*shard, "none.json", code=2).said("cannot read 'none.json': no such file")
    space.run(*shard, "BUILD.yaml", code=2).said("'BUILD.yaml' is no report of tests", "test //... --json >")
    space.run("test", "//...", "--timings", str(reports[0]), code=2).said("--timings are for --shards")
    space.run("test", "--affected", code=2).said("'buildrules test //... --affected' tests them all")
    space.edit("a/BUILD.yaml", "app: {rule", "app: {tags: [nightly], rule")
    listed = space.run("affected", "--since", "HEAD", "--tests", "--tag", "nightly").out.split()
    assert "//a:t0" in listed and all(label.startswith("//a:") for label in listed)
    others = space.run("affected", "--since", "HEAD", "--tests", "--tag", "-nightly").out.split()
    assert "//b:t0" in others and not set(others) & set(listed)
    space.run("affected", "--since", "HEAD", "--tag", "nightl", code=2).said(
        "no target has the tag 'nightl'", "nightly"
    )
    for command in (["affected"], ["test"]):
        for text in ("main..HEAD", "HEAD...main", "^main", "main.."):
            said = space.run(*command, "//...", "--since", text, code=2)
            said.said(f"'{text}' is a range", "...' is where HEAD and ")
    since = ("affected", "--since", "HEAD")
    space.run(*since, "--why", "--shards", "2", code=2).said("--why needs a LABEL, not '--shards'")
    space.run(*since, "--why", "//a:app", "-o", "json", code=2).said("--why is answered in lines of text")
    space.run(*since, "--shards", "1/4", code=2).said("write --shards 4; ", "`test --affected --shards 1/4`")
    with space.inside(".", {}):
        keep_failed(str(space.root), set(), {"//a:t0"})
    assert space.run("test", "--rerun-failed").out == "no tests that failed before\n"
    said = space.run("test", "--tag", "a b", code=2)
    said.said("no targets given; 'buildrules test //... --tag 'a b'' tests them all")
    report = space.folder / "junit.xml"
    done = space.run("test", "//b/c/...", "--affected", "--junit", str(report))
    assert done.out == "no tests affected since HEAD\n"
    assert ElementTree.parse(report).getroot().get("tests") == "0"


def test_no_repository_and_attributes_that_differ(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    space = copy_of(many, tmp_path / "one", wheelhouse)
    shutil.move(space.root / ".git", space.folder / "git")
    said = space.run("affected", "--since", "HEAD", code=2)
    said.said("is in no git repository that can be read", "hint: not a git repository")
    shutil.move(space.folder / "git", space.root / ".git")
    space.write("a/src/.gitattributes", "*.txt eol=crlf\n")
    said = space.run("affected", "--since", "HEAD")
    assert said.out == "//a:app\n//b/c:app\n"
    said.said("warning: a .gitattributes differs: files are compared as git keeps them")
    Repository(space.root).commit()
    assert not space.run("affected", "--since", "HEAD").err


def test_shards_take_as_long_as_each_other(many: Path, wheelhouse: Path, tmp_path: Path) -> None:
    space = copy_of(many, tmp_path / "one", wheelhouse)
    space.edit("rules/tiny.yaml", "default: 2", "default: 3")
    with space.inside(".", {}):
        keep_seconds(str(space.root), {"//a:app": 50.0, "//b:app": 30.0, "//b/c:app": 20.0})
    out = space.run("affected", "--since", "HEAD", "--shards", "2").out
    assert out == "//a:app\n//b/c:app //b:app\n"
