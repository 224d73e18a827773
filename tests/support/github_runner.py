"""GitHub's runner, as far as the workflow and the actions of integrations/github need it: jobs in the order of their
needs, matrices, expressions, composite actions, and every `run` by the real bash.

Forms: "Workflow syntax", "Metadata syntax", "Expressions" and "Workflow commands" of GitHub's documentation. Of its own
actions there are checkout (of a real remote), cache and artifacts (folders).
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|&&|\|\||==|!=|[!(),]|[\w*.-]+)")
_ALWAYS = re.compile(r"(cancelled|always)\(\)")
_OWN = re.compile(r"OWNER/buildrules/(integrations/github/\w+)@REV")


def text(value: Any) -> str:
    """A value as it stands in a script."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class Expression:
    """What stands between `${{` and `}}`; `&&` and `||` give one of their operands, as in GitHub's."""

    def __init__(self, source: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> None:
        self.tokens = _TOKEN.findall(source)
        assert "".join(self.tokens) == re.sub(r"\s(?=(?:[^']*'[^']*')*[^']*$)", "", source), f"cannot read {source!r}"
        self.contexts, self.functions = contexts, functions

    def value(self) -> Any:
        left = self._both()
        while self._next("||"):
            right = self._both()
            left = left or right
        return left

    def _both(self) -> Any:
        left = self._equal()
        while self._next("&&"):
            right = self._equal()
            left = left and right
        return left

    def _equal(self) -> Any:
        left = self._one()
        for word in ("==", "!="):
            if self._next(word):
                return (text(left).lower() == text(self._one()).lower()) == (word == "==")
        return left

    def _one(self) -> Any:
        if self._next("!"):
            return not self._one()
        if self._next("("):
            found = self.value()
            assert self._next(")")
            return found
        token = self.tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._next("("):
            arguments = []
            while not self._next(")"):
                arguments.append(self.value())
                self._next(",")
            return self.functions[token](*arguments)
        found = self.contexts
        for name in token.split("."):
            if name == "*":
                found = list(found.values())
            elif isinstance(found, list):
                found = [one.get(name) for one in found]
            else:
                found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def _next(self, word: str) -> bool:
        if self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            return True
        return False


@dataclass
class Job:
    """One job that ran, or `result` says why not."""

    result: str = "skipped"
    outputs: dict[str, str] = field(default_factory=dict)
    said: str = ""
    summary: str = ""


@dataclass
class Forge:
    """What outlives a job: the remote, caches, artifacts; and what the variables of every job are."""

    folder: Path
    remote: Path
    env: dict[str, str]
    api: str = ""
    token: str = ""
    vars: dict[str, str] = field(default_factory=dict)
    actor: str = ""
    repository: str = "acme/models"
    actions: Path = ROOT

    def run(self, workflow: Path, name: str, event: dict[str, Any], ref: str, sha: str = "") -> dict[str, Job]:
        """Run a workflow for an event, at a ref of the remote, or at a commit that it had. The jobs by name; those of a
        matrix by theirs.
        """
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        git = ["git", "-C", str(self.remote), "rev-parse", ref]
        sha = sha or subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
        github = {"event_name": name, "event": event, "ref": ref, "sha": sha, "repository": self.repository}
        github |= {"base_ref": event.get("pull_request", {}).get("base", {}).get("ref", ""), "token": self.token}
        jobs: dict[str, Job] = {}
        done: dict[str, Job] = {}
        for key, spec in yaml.safe_load(workflow.read_text())["jobs"].items():
            needs = [spec["needs"]] if isinstance(spec.get("needs"), str) else spec.get("needs", [])
            contexts: dict[str, Any] = {"github": github, "secrets": {"GITHUB_TOKEN": self.token}, "vars": self.vars}
            contexts["needs"] = {need: {"result": done[need].result, "outputs": done[need].outputs} for need in needs}
            condition = str(spec.get("if", "true"))
            sound = _ALWAYS.search(condition) or all(done[need].result == "success" for need in needs)
            done[key] = Job()
            if not sound or not Machine(self, contexts).holds(condition):
                continue
            matrix = Machine(self, contexts).filled(spec.get("strategy", {}).get("matrix", "")) or '{"include": [{}]}'
            for index, row in enumerate(json.loads(matrix)["include"]):
                machine = Machine(self, contexts | {"matrix": row, "strategy": {"job-index": index}})
                jobs[row.get("name", key)] = job = machine.job(spec)
                done[key] = job if done[key].result != "failure" else done[key]
        return jobs


class Machine:
    """A runner that is there for one job."""

    def __init__(self, forge: Forge, contexts: dict[str, Any]) -> None:
        self.forge, self.contexts, self.found = forge, contexts, Job()
        self.folder = forge.folder / "machine"
        self.work, self.home, self.temp = (self.folder / name for name in ("work", "home", "temp"))
        self.env: dict[str, str] = {}
        self.path: list[str] = []
        self.action = Path()

    def filled(self, value: Any) -> str:
        """A value with its expressions in place."""
        if isinstance(value, bool | int):
            return text(value)

        def one(match: re.Match[str]) -> str:
            found = self._value(match[1])
            return json.dumps(found) if isinstance(found, dict) else text(found)

        return re.sub(r"\$\{\{(.*?)\}\}", one, value)

    def holds(self, condition: str) -> bool:
        inner = condition.strip().removeprefix("${{").removesuffix("}}")
        return inner.strip() == "true" or bool(self._value(inner))

    def _value(self, source: str) -> Any:
        functions: dict[str, Callable[..., Any]] = {
            "fromJSON": json.loads,
            "cancelled": lambda: False,
            "always": lambda: True,
            "contains": lambda values, value: value in values,
            "hashFiles": self._hash,
        }
        return Expression(source.strip(), self.contexts, functions).value()

    def _hash(self, *patterns: str) -> str:
        files = sorted({path for pattern in patterns for path in self.work.glob(pattern)})
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() if files else ""

    def job(self, spec: dict[str, Any]) -> Job:
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (self.work, self.home, self.temp):
            path.mkdir(parents=True)
        self.contexts["runner"] = {"os": "Linux", "arch": "X64", "temp": str(self.temp)}
        self.contexts["github"] = {**self.contexts["github"], "workspace": str(self.work)}
        self.env = {name: self.filled(value) for name, value in spec.get("env", {}).items()}
        self.found.result = "success"
        steps = self._steps(spec["steps"])
        self.found.outputs = {name: self.filled(value) for name, value in spec.get("outputs", {}).items()}
        assert steps is not None
        return self.found

    def _steps(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        """Run steps, whose outputs are `steps` of the contexts; after one that failed only those that want to."""
        outer = self.contexts.get("steps")
        here: dict[str, Any] = {}
        self.contexts["steps"] = here
        for step in steps:
            condition = str(step.get("if", "true"))
            if (_ALWAYS.search(condition) or self.found.result == "success") and self.holds(condition):
                outputs = self._bash(step) if "run" in step else self._action(step)
                here[step.get("id", "")] = {"outputs": outputs, "outcome": self.found.result}
        self.contexts["steps"] = outer
        if outer is None:
            self.contexts["steps"] = here
        return here

    def _action(self, step: dict[str, Any]) -> dict[str, str]:
        given = {name: self.filled(value) for name, value in step.get("with", {}).items()}
        if own := _OWN.fullmatch(step["uses"]):
            self.action = self.forge.actions / own[1]
            spec = yaml.safe_load((self.action / "action.yml").read_text())
            assert set(given) <= set(spec["inputs"]), f"{step['uses']} has no {set(given) - set(spec['inputs'])}"
            before = self.contexts.get("inputs")
            self.contexts["inputs"] = {
                name: given.get(name, self.filled(one.get("default", ""))) for name, one in spec["inputs"].items()
            }
            steps = self._steps(spec["runs"]["steps"])
            whole = self.contexts["steps"]
            self.contexts["steps"] = steps
            outputs = {name: self.filled(one["value"]) for name, one in spec.get("outputs", {}).items()}
            self.contexts["inputs"], self.contexts["steps"] = before, whole
            return outputs
        name = step["uses"].split("@")[0].removeprefix("actions/").replace("/", "_").replace("-", "_")
        getattr(self, f"_{name}")(given)
        return {}

    def _bash(self, step: dict[str, Any]) -> dict[str, str]:
        github, files = self.contexts["github"], {}
        for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY"):
            files[name] = self.temp / name
            files[name].write_text("")
        (self.temp / "script.sh").write_text(self.filled(step["run"]))
        env = {**self.forge.env, "CI": "true", "HOME": str(self.home), "RUNNER_TEMP": str(self.temp)}
        env |= {f"GITHUB_{name}": str(path) for name, path in files.items()}
        env |= {
            "GITHUB_API_URL": self.forge.api,
            "GITHUB_REPOSITORY": github["repository"],
            "GITHUB_ACTOR": self.forge.actor,
        }
        env |= {"GITHUB_REF": github["ref"], "GITHUB_SHA": github["sha"], "GITHUB_ACTION_PATH": str(self.action)}
        env |= {"GITHUB_REF_NAME": github["ref"].removeprefix("refs/heads/"), "GITHUB_ACTIONS": "true"}
        env |= self.env | {name: self.filled(value) for name, value in step.get("env", {}).items()}
        env["PATH"] = os.pathsep.join((*self.path, env["PATH"]))
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.temp / "script.sh")],
            cwd=self.work / self.filled(step.get("working-directory", ".")),
            env=env, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.found.said += done.stdout
        if done.returncode:
            self.found.result = "failure"
        self.found.summary += files["STEP_SUMMARY"].read_text()
        self.path += files["PATH"].read_text().split()
        self.env |= dict(_lines(files["ENV"]))
        return dict(_lines(files["OUTPUT"]))

    def _checkout(self, given: dict[str, str]) -> None:
        def git(*words: str) -> None:
            subprocess.run(["git", *words], cwd=self.work, check=True, capture_output=True)

        git("init", "-q", "-b", "main")
        git("remote", "add", "origin", f"file://{self.forge.remote}")
        depth = given.get("fetch-depth", "1")
        if depth == "0":
            git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
        limit = () if depth == "0" else (f"--depth={depth}",)
        git("fetch", "-q", *limit, "origin", self.contexts["github"]["sha"])
        git("checkout", "-q", "--detach", "FETCH_HEAD")

    def _cache_restore(self, given: dict[str, str]) -> None:
        kept = sorted(self.forge.folder.glob("caches/*"), key=lambda path: -path.stat().st_mtime_ns)
        for wanted in (given["key"], *given["restore-keys"].split()):
            for path in kept:
                if path.name.startswith(wanted):
                    shutil.copytree(path, self._path(given), symlinks=True, dirs_exist_ok=True)
                    return

    def _cache_save(self, given: dict[str, str]) -> None:
        with contextlib.suppress(FileExistsError):  # what is there stays
            shutil.copytree(self._path(given), self.forge.folder / "caches" / given["key"], symlinks=True)

    def _path(self, given: dict[str, str]) -> Path:
        return self.work / given["path"].replace("~", str(self.home), 1)

    def _upload_artifact(self, given: dict[str, str]) -> None:
        if self._path(given).exists():
            shutil.copytree(self._path(given), self.forge.folder / "artifacts" / given["name"])

    def _download_artifact(self, given: dict[str, str]) -> None:
        for path in self.forge.folder.glob(f"artifacts/{given['pattern']}"):
            shutil.copytree(path, self._path(given) / path.name)


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines():
        name, _, value = line.partition("=")
        yield name, value
