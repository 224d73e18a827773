"""GitLab's runner, as far as the component of integrations/gitlab needs it: inputs, `extends`, rules, child pipelines,
caches and artifacts (folders), and every script by the real bash.

Forms: "CI/CD YAML syntax reference", "CI/CD inputs" and "Predefined CI/CD variables" of GitLab's documentation.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.github_runner import ROOT, Job

TEMPLATE = ROOT / "integrations/gitlab/templates/packages/template.yml"
_STAGES = ("build", "test", "deploy", ".post")
_KEYS = {"include", "variables", "stages"}


def component(given: dict[str, str]) -> dict[str, Any]:
    """The configuration that the component makes of inputs."""
    header, body = TEMPLATE.read_text().split("\n---\n")
    inputs = yaml.safe_load(header)["spec"]["inputs"]
    assert set(given) <= set(inputs)
    values = {name: given[name] if name in given else spec["default"] for name, spec in inputs.items()}
    found: dict[str, Any] = yaml.safe_load(re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda m: str(values[m[1]]), body))
    return found


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Maps are merged, all else is replaced: as `extends` and `include` do."""
    both = {
        key: merged(under[key], value) if isinstance(value, dict) and isinstance(under.get(key), dict) else value
        for key, value in over.items()
    }
    return under | both


def _text(value: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda m: variables.get(m[1], ""), value)


def _holds(condition: str, variables: dict[str, str]) -> bool:
    def one(part: str) -> bool:
        left, sign, right = part.partition("==")
        sides = [re.sub(r'^"(.*)"$', r"\1", _text(side.strip(), variables)) for side in (left, right)]
        return sides[0] == sides[1] if sign else bool(sides[0])

    return all(one(part) for part in condition.split("&&"))


@dataclass
class Forge:
    """What outlives a job. The project includes the component with `inputs`; `secrets` are its variables."""

    folder: Path
    remote: Path
    env: dict[str, str]
    api: str
    secrets: dict[str, str]
    inputs: dict[str, str]

    def run(self, ref: str, **variables: str) -> dict[str, Job]:
        """Run a pipeline at a ref of the remote; the jobs by name, those of child pipelines among them."""
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        known = {
            "CI": "true",
            "CI_PROJECT_ID": "5",
            "CI_PIPELINE_ID": "42",
            "CI_DEFAULT_BRANCH": "main",
            "CI_API_V4_URL": self.api,
        }
        known |= {"CI_PROJECT_DIR": str(self.folder / "work"), "CI_COMMIT_REF_SLUG": ref.replace("/", "-")}
        known |= {"CI_COMMIT_REF_NAME": ref, **self.secrets, **variables}
        return self._pipeline(component(self.inputs), known, ref)

    def _pipeline(self, config: dict[str, Any], variables: dict[str, str], ref: str) -> dict[str, Job]:
        done: dict[str, Job] = {}
        variables = variables | config.get("variables", {})
        jobs = {name: self._whole(config, name) for name in config if name not in _KEYS and not name.startswith(".")}
        for name in sorted(jobs, key=lambda name: _STAGES.index(jobs[name].get("stage", "test"))):
            spec, failed = jobs[name], any(job.result == "failure" for job in done.values())
            rule = next((rule for rule in spec.get("rules", [{}]) if _holds(rule.get("if", '"x"'), variables)), None)
            same = spec.get("stage", "test") == "test"  # what is in one stage runs at once
            if rule is None or (failed and not same and rule.get("when") != "always"):
                continue
            if "trigger" in spec:
                (source,) = spec["trigger"]["include"]
                child = yaml.safe_load((self.folder / "artifacts" / source["job"] / source["artifact"]).read_text())
                assert child.pop("include") == [{"local": ".gitlab/buildrules.yml"}]
                for_child = variables | {"CI_PIPELINE_SOURCE": "parent_pipeline"}
                done |= self._pipeline(merged(component(self.inputs), child), for_child, ref)
            else:
                done[name] = self._job(name, spec, variables, ref)
        return done

    def _whole(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        spec: dict[str, Any] = config[name]
        return merged(self._whole(config, spec["extends"]), spec) if "extends" in spec else spec

    def _job(self, name: str, spec: dict[str, Any], variables: dict[str, str], ref: str) -> Job:
        work, artifacts, cache = self.folder / "work", self.folder / "artifacts", spec.get("cache") or {}
        shutil.rmtree(work, ignore_errors=True)
        own = {key: _text(str(value), variables) for key, value in spec.get("variables", {}).items()}
        work.mkdir(parents=True)
        if own.get("GIT_STRATEGY") != "none":
            depth = () if own.get("GIT_DEPTH") == "0" else ("--depth=20",)
            for words in (("init", "-q"), ("remote", "add", "origin", f"file://{self.remote}"),
                          ("fetch", "-q", *depth, "origin", ref), ("checkout", "-q", "FETCH_HEAD")):  # fmt: skip
                subprocess.run(["git", *words], cwd=work, check=True, capture_output=True)
        for path in artifacts.glob("*"):
            shutil.copytree(path, work, dirs_exist_ok=True)
        for key in (cache.get("key", ""), *cache.get("fallback_keys", ())):
            kept = self.folder / "caches" / _text(key, variables)
            if key and kept.exists():
                shutil.copytree(kept, work / cache["paths"][0], symlinks=True)
                break
        script = "\n".join((*spec.get("before_script", ()), *spec["script"]))
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        env = {**self.env, "HOME": str(home), **variables, **own}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=work, env=env,
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if cache.get("policy") == "pull-push" and (not done.returncode or cache.get("when") == "always"):
            place = self.folder / "caches" / _text(cache["key"], variables)
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(work / cache["paths"][0], place, symlinks=True)
        for path in (work / one for one in spec.get("artifacts", {}).get("paths", ())):
            if path.exists() and (not done.returncode or spec["artifacts"].get("when") == "always"):
                copy = shutil.copytree if path.is_dir() else shutil.copy
                (artifacts / name.replace("/", "_")).mkdir(parents=True, exist_ok=True)
                copy(path, artifacts / name.replace("/", "_") / path.name)
        return Job("failure" if done.returncode else "success", {}, done.stdout)
