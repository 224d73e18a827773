"""What a server says of an action that was not run, in words and with a way out."""

import re
from collections.abc import Mapping

from buildrules.executors.engine import EngineError, LostInputError
from buildrules.executors.task import Task
from buildrules.executors.told import in_line, in_lines
from buildrules.remote.reapi import Server
from buildrules.remote.rpc import CallError
from buildrules.start.secret import hide
from buildrules.typed import Any

_LINES = 20  # of what a worker wrote last
_CODES = {4: "took longer than the server allows", 1: "was cancelled there"}
_STAGING, _GONE = 13, 9  # INTERNAL, FAILED_PRECONDITION
_LOST = re.compile(r"missing|not found|no such|lost|blob|digest|input|stag", re.IGNORECASE)
LOCAL = "--executor local runs all steps here"


def call_failed(name: str, server: Server, error: CallError) -> EngineError:
    """The error for a call that failed for good."""
    text, hint = f"{name}: {error.text}", LOCAL
    if error.code == "UNIMPLEMENTED":
        return cache_only(name)
    if error.code == "FAILED_PRECONDITION" and _LOST.search(error.text):
        return LostInputError(f"{name} lost what was sent to it: {error.text}", hint=hint)
    if "propert" in error.text.lower():
        hint = f"see workspace.executor.properties: the server's administrator says which ones it knows; {LOCAL}"
    elif "instance" in error.text.lower():
        path = f"{server.instance!r} is not known there" if server.instance else "it has none"
        hint = f"the path of the address is the instance, and {path}: grpc://HOST:PORT/INSTANCE; {LOCAL}"
    elif error.code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        hint = f"see workspace.executor.connection; {LOCAL}"
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "name the certificates to trust: workspace.tls.certificates, or the variable SSL_CERT_FILE"
    elif "WRONG_VERSION_NUMBER" in text:
        hint = "it speaks no TLS: write grpc://, where the network is trusted"
    elif error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        if server.known:
            text = f"{name} does not answer any more: {error.text}"
        else:
            text = f"{name} does not answer: {error.text}"
            tls = "" if server.channel.encrypted else ", and does it want TLS (grpcs://)"
            hint = f"is it running{tls}? See workspace.executor; {LOCAL}"
    return EngineError(text, hint=hint)


def cache_only(name: str) -> EngineError:
    """The error for a server that has no scheduler."""
    return EngineError(
        f"{name} runs no steps: it is a cache only, and executes nothing",
        hint=f"name it in workspace.cache, or ask for its executor; {LOCAL}",
    )


def action_failed(name: str, worker: str, task: Task, done: Mapping[str, Any]) -> EngineError:
    """The error for the status of an action."""
    code, said = done["status"]["code"], in_line(hide(done["status"]["message"]), 300)
    where = f"worker {worker} of {name}" if worker else name
    if (code == _GONE and _LOST.search(said)) or (code == _STAGING and "stag" in said.lower()):
        return LostInputError(f"{where} did not find the input of {task.step.title!r}: {said}")
    what = _CODES.get(code, f"could not be run ({code})")
    return EngineError(f"{task.step.title!r} {what}, by {where}: {said}", hint=LOCAL)


def unanswered(name: str, task: Task, done: Mapping[str, Any], stderr: str) -> EngineError:
    """The error for a task that ended without an answer; `stderr` is what its worker wrote."""
    result = done["result"] or {"exit_code": 0, "execution_metadata": None}
    worker = in_line((result["execution_metadata"] or {"worker": ""})["worker"])
    where, code = f"worker {worker} of {name}" if worker else name, result["exit_code"]
    hint = "it was killed: does it have the memory?" if code == 137 else LOCAL
    log = in_lines(hide("\n".join(stderr.splitlines()[-_LINES:]))) or None
    return EngineError(f"{where} gave no answer for {task.step.title!r}: it ended with {code}", hint=hint, log=log)


def waited(name: str, seconds: float, properties: Mapping[str, str]) -> EngineError:
    """The error for a task that no worker takes."""
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(properties.items()))
    asked = f" that has {wanted}" if wanted else ""
    return EngineError(
        f"no worker of {name}{asked} took a step of this build within {seconds:.0f} seconds",
        hint="start one, or correct workspace.executor.properties; workspace.executor.queued is how long to wait",
    )
