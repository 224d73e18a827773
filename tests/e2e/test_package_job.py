"""`buildrules test` on packages that work on a folder and end: given files, waited for, and looked at."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.package_tests import failures, forget, left, results
from tests.support.space import APP, Space, make_base

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("docker")]  # the program for the image is downloaded

SERVER = """\
rule: counter
provides: server
summary: Writes the number of lines of each file, and half of it.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/code}
image:
  environment: {FACTOR: 1}
  entrypoint: [/bin/busybox, sh, /srv/code/count.sh]
  cmd: [/var/in, /var/out]
  user: "12345:12345"
job: {input: /var/in, output: /var/out, result: rows.csv}
"""
COUNT = """\
cd $1
for file in $(/bin/busybox find . -type f | /bin/busybox sort); do
  lines=$(/bin/busybox wc -l < $file)
  echo "$file,$((lines * FACTOR)),0.$((lines * 500001))" >> $2/rows.csv
done
/bin/busybox mkdir $2/more
echo '{"files": [1, 2.5]}' > $2/more/summary.json
echo counted >&2
"""
TEST = """\
  app_test:
    rule: package_test
    package: :app
    job:
      input: data
      output:
        - {name: rows.csv, file: golden.csv, tolerance: {absolute: 0.01}}
        - {name: more/summary.json, json: {files: [1, 2.5]}}
        - {name: rows.csv, contains: [one.txt], lines: 2}
"""


@pytest.fixture
def space(new_space: Callable[..., Space], busybox: bytes) -> Iterator[Space]:
    made = new_space()
    make_base(made.path("busybox"), files={"bin/busybox": busybox, "bin/sh": busybox}, mode=0o755)
    made.name = f"buildrules-job-{os.urandom(4).hex()}"
    made.write("rules/counter.yaml", SERVER)
    made.write("src/count.sh", COUNT + f"# {made.name}\n")  # no other image is the same
    made.edit("BUILD.yaml", "layout: base", "layout: busybox")
    made.edit("BUILD.yaml", "//rules:tiny", "//rules:counter")
    made.edit("BUILD.yaml", "name: acme", f"name: {made.name}")
    made.write("data/one.txt", "a\n")
    made.write("data/sub/two.txt", "a\nb\n")
    made.write("golden.csv", "./one.txt,1,0.5\n./sub/two.txt,2,0.1\n")
    made.append("BUILD.yaml", TEST)
    yield made
    forget(made)


def test_what_it_leaves_is_compared_and_remembered(space: Space, runner: str) -> None:
    space.run("test", "//...", "--runner", runner).said("passed      //:app_test  1 job in ", f"({runner})")
    assert left(space, runner) == []
    space.run("test", "//...", "--runner", runner).said("cached      //:app_test  1 job, unchanged since it passed")
    space.write("data/one.txt", "a\nb\nc\n")  # what it works on counts
    (found,) = failures(space, "//:app_test", "--runner", runner)
    assert (found["request"], found["kind"]) == ("rows.csv", "wrong answer")
    assert "+./one.txt,3,0.1500003" in found["detail"]
    assert "two.txt" not in re.sub(r"(?m)^ .*$", "", found["detail"])  # within the tolerance
    assert "counted" in found["log"]
    assert left(space, runner) == []
    space.edit("golden.csv", "one.txt,1,0.5", "one.txt,3,0.1500003")
    assert results(space, "--runner", runner, "//:app_test")["//:app_test"]["status"] == "passed"


def test_every_failure(space: Space, runner: str) -> None:
    space.edit("BUILD.yaml", "input: data", "input: data\n      timeout: 2")
    space.edit("src/count.sh", "echo counted", "/bin/busybox ln -s /nowhere $2/link; echo counted")
    space.append("BUILD.yaml", "        - {name: gone.txt}\n        - {name: more}\n        - {name: link}\n")
    kinds = [(item["request"], item["kind"]) for item in failures(space, "//:app_test", "--runner", runner)]
    assert kinds == [("gone.txt", "no result"), ("more", "no result"), ("link", "no result")]
    space.edit("src/count.sh", "echo counted", "echo broken >&2; exit 3; echo")
    (found,) = failures(space, "//:app_test", "--runner", runner)
    assert (found["kind"], found["message"]) == ("exited", "exited with code 3 instead of 0")
    assert found["log"] == "broken\n"
    space.edit("src/count.sh", "exit 3", "/bin/busybox sleep 60")
    (found,) = failures(space, "//:app_test", "--runner", runner)
    assert found["kind"] == "did not end"
    assert found["message"].startswith("still ran after 2 s; it hangs: it took ")
    assert left(space, runner) == []
    (found,) = failures(space, "//:app_test", "--runner", runner, "--timeout", "1")
    assert found["message"].startswith("still ran after 1 s; it hangs: it took ")


def test_an_exit_code_and_a_variable(space: Space, runner: str) -> None:
    space.edit("BUILD.yaml", "input: data", "input: data/one.txt\n      exit_code: 4")
    space.edit("src/count.sh", "echo counted", "exit $FACTOR; echo")
    space.append("BUILD.yaml", "    environment: {FACTOR: 4}\n")
    space.edit("BUILD.yaml", "lines: 2", "lines: 1")
    space.write("golden.csv", "./one.txt,4,0.5\n")
    assert results(space, "//:app_test", "--runner", runner)["//:app_test"]["status"] == "passed"


def test_a_sample_request_is_what_it_works_on(space: Space) -> None:
    space.path("BUILD.yaml").write_text(space.path("BUILD.yaml").read_text().removesuffix(TEST))
    space.run("test", APP).said("not tested  //:app  no input: add `sample_request:`", "`job:`")
    space.edit("BUILD.yaml", "    code: :code", "    code: :code\n    sample_request: data")
    space.run("test", APP, "--runner", "rootfs").said("passed      //:app  1 job in ")
    space.write("golden.csv", "./one.txt,1,0.500003\n./sub/two.txt,2,0.1000002\n")
    space.edit("BUILD.yaml", "sample_request: data", "sample_request: data\n    expected_response: golden.csv")
    (found,) = failures(space, APP, "--runner", "rootfs")
    assert found["message"] == "the file is another text"
    assert "-./one.txt,1,0.500003\n+./one.txt,1,0.500001\n" in found["detail"]
    space.edit("golden.csv", "0.500003", "0.5000010001")
    space.run("test", APP, "--runner", "rootfs").said("passed      //:app  1 job in ")
    space.edit("src/count.sh", "> $2/rows.csv", "> $2/other.csv")
    (found,) = failures(space, APP, "--runner", "rootfs")
    assert (found["kind"], found["message"]) == ("no result", "there is no file /var/out/rows.csv")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("name: gone", "nam: gone", r"there is no 'nam' here.*did you mean 'name'"),
        ("input: data", "input: dat", r"BUILD.yaml:\d+:14: there is no 'dat'.*did you mean 'data'"),
        ("golden.csv", "golden.cs", r"there is no 'golden.cs'"),
        ("name: gone", "name: ../gone", r"BUILD.yaml:\d+:\d+: '../gone.txt' is not a path in the output folder"),
        ("    job:\n", "    requests: []\n    job:\n", r"one of 'requests' and 'job'"),
        ("//rules:counter", "//rules:tiny", r"//:app answers requests and does not end.*`requests:`"),
    ],
)
def test_mistakes_have_positions_and_hints(space: Space, before: str, after: str, said: str) -> None:
    space.append("BUILD.yaml", "        - {name: gone.txt}\n")
    space.edit("BUILD.yaml", before, after)
    assert re.search(said, space.run("test", "//...", code=2).err, re.DOTALL)


def test_requests_of_what_answers_none(space: Space, tmp_path: Path) -> None:
    space.path("BUILD.yaml").write_text(space.path("BUILD.yaml").read_text().removesuffix(TEST))
    space.append("BUILD.yaml", '  asked: {rule: package_test, package: ":app", requests: [{path: /}]}\n')
    said = space.run("test", "//...", code=2).said("//:app works on a folder and ends", "job: {input: FOLDER}").err
    assert re.search(r"BUILD.yaml:\d+:\d+", said)
