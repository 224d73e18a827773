"""What `buildrules deploy-files` does once the packages are built: write the manifests of a platform."""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from buildrules.authoring.document import render_document
from buildrules.authoring.paths import display
from buildrules.cli.content import Content, packages
from buildrules.cli.deployable import deployable
from buildrules.cli.destination import destination
from buildrules.cli.harmless import harmless
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import environment_of
from buildrules.cli.request import Request
from buildrules.cli.writing import beginning, write_text
from buildrules.engine.result import GoalResult
from buildrules.errors import UsageError
from buildrules.rules.documents import Part
from buildrules.rules.platform import Platform
from buildrules.rules.platforms import Platforms
from buildrules.rules.types import ROUTE_NAMES

STDOUT = "-"
MADE_BY = "made by buildrules deploy-files"
_FOR = re.compile(re.escape(MADE_BY) + r" --for ([^\s,\"]+)")


def after(invocation: Invocation) -> int:
    """Write the files and say what to do with them; returns the exit code."""
    request = invocation.request
    platform = Platforms(invocation.root, invocation.directory).find(str(request.option("platform_name")))
    given = platform.set(request.option("settings", []))
    scopes = [_names(invocation, result, platform, given) for result in packages(invocation, "deployed")]
    _apart(scopes)
    moved = _publish(scopes) if platform.uses("each.published") else []
    texts = _texts(platform, scopes)
    invocation.console.close()
    folder = str(request.option("output"))
    if folder == STDOUT:
        between = "" if next(iter(texts)).endswith(".json") else "---\n"
        sys.stdout.write(between.join(texts.values()))
        return 0
    _keep_others(folder, texts)
    for path, text in texts.items():
        _check_own(os.path.join(folder, path), text, platform)
    for path, text in texts.items():
        write_text(os.path.join(folder, path), text)
    shown = display(os.path.abspath(folder))
    said = [f"wrote {shown}/{path}" for path in texts]
    said += [f"  {names['label']} as {names['image']}" for names in scopes]
    said += [*moved, *_defaults(platform, scopes), *_unchecked(platform, scopes), *_secrets(platform, scopes)]
    said.append(f"next: buildrules push {_named(request)}")
    lines = [platform.line(platform.file.next, {**names, "folder": shlex.quote(shown)}) for names in scopes]
    said += [f"next: {line}" for line in dict.fromkeys(lines) if line]
    sys.stdout.write(harmless("\n".join(said) + "\n"))
    return 0


def _named(request: Request) -> str:
    """The packages as a command line names them, and where they go."""
    file = request.option("package")
    named = f"--package {shlex.quote(display(str(file)))} ..." if file else " ".join(request.patterns)
    return named if request.option("to") is None else f"{named} --to {request.option('to')}"


def _check_own(place: str, text: str, platform: Platform) -> None:
    """Raise UsageError where a file is there that this command did not write, or wrote for another platform.

    The first line of YAML says so; JSON has no comments, so a platform has the words in a value near the beginning. A
    file that begins as `text` may be there too.
    """
    found, json_file = beginning(place), place.endswith(".json")
    head = found if json_file else found.partition("\n")[0]
    own, said = MADE_BY in head, _FOR.search(head)
    if found and not own and found != text[: len(found)]:
        told = f"; its platform may say {MADE_BY!r} in a value near the beginning" if json_file else ""
        raise UsageError(
            f"'{display(os.path.abspath(place))}' is there, and was not written by this command",
            hint=f"name another folder (-o DIR), or move it away{told}",
        )
    if said and said[1] != platform.reference:
        raise UsageError(
            f"'{display(os.path.abspath(place))}' was written for another platform, {said[1]}",
            hint="name another folder (-o DIR), or move it away",
        )


def _names(invocation: Invocation, result: GoalResult, platform: Platform, given: Mapping[str, Any]) -> dict[str, Any]:
    """What templates may say of a package. Raises UsageError where the platform cannot have it."""
    image = next(one for one in invocation.results if one.goal.kind == "image" and one.goal.label == result.goal.label)
    config = Content(invocation, image).image.settings.get("config") or {}
    names = deployable(invocation, image, config, platform.file.longest_name)
    place, environment = destination(invocation.request, result), environment_of(result)
    repository = f"{place.host}/{place.name}"
    names |= {
        "repository": repository,
        "image": f"{repository}@{result.digest}",
        "digest": result.digest,
        "short_digest": result.digest[7:19],
        "environment.name": environment["name"],
        "environment.version": environment["version"],
    }
    _fits(platform, names)
    return {**names, **platform.attributes(given, gpu=bool(names["gpu"]))}


def _fits(platform: Platform, names: Mapping[str, Any]) -> None:
    label, refused = names["label"], platform.file.refuses
    has = {"gpu": bool(names["gpu"]), "secrets": bool(names["secrets"]), "job": names["job.input"] is not None}
    for what, reason in refused.items():
        if has[what]:
            said = {"gpu": "wants a GPU", "secrets": "downloads with credentials", "job": "works on files and ends"}[
                what
            ]
            raise UsageError(f"'{label}' {said}, which the platform '{platform.reference}' cannot: {reason}")
    missing = [] if has["job"] else [route for route in platform.file.needs if not names[route]]
    if missing:
        raise UsageError(
            f"'{label}' has no {missing[0]} route, which the platform '{platform.reference}' needs",
            hint=f"declare it in its server: routes: {{{missing[0]}: PORT/PATH}}; there are {', '.join(ROUTE_NAMES)}",
        )
    if names["port"] is None and not has["job"]:
        raise UsageError(
            f"'{label}' answers no requests and works on no files: it has no port",
            hint="give its server `ports` or `routes`",
        )


def _apart(scopes: list[dict[str, Any]]) -> None:
    """Raise UsageError where two packages have one name."""
    taken: dict[str, str] = {}
    for names in scopes:
        other = taken.setdefault(names["name"], names["label"])
        if other != names["label"]:
            raise UsageError(
                f"{other} and {names['label']} would both be named '{names['name']}'",
                hint="rename one, or deploy them one by one, each to a place and a folder (-o DIR) of its own",
            )


def _keep_others(folder: str, texts: Mapping[str, str]) -> None:
    """Raise UsageError where a file is there that was written for one package, and the new one is for one other."""
    label = re.compile(rf'(//[^\s",]*)(?: alone\n|, {MADE_BY})')
    for path, text in texts.items():
        place = os.path.join(folder, path)
        former, new = label.search(beginning(place)), label.search(text)
        if former and new and former[1] != new[1]:
            raise UsageError(
                f"'{display(os.path.abspath(place))}' is there, and was written for {former[1]}",
                hint="name another folder (-o DIR), or move it away",
            )


def _publish(scopes: list[dict[str, Any]]) -> list[str]:
    """Give each port one of the host's that no other has; returns a line for each that is another than its own."""
    wanted = {port["number"] for names in scopes for port in names["ports"]}
    taken: dict[int, str] = {}
    said = []
    for names in scopes:
        for port in names["ports"]:
            number = port["number"]
            while number in taken or (number != port["number"] and number in wanted):
                number = number + 1 if number < 65535 else 1024
            taken[number] = names["label"]
            port["published"] = number
            if number != port["number"]:
                said.append(
                    f"  port {port['number']} of {names['label']} is {number} of the host: "
                    f"{taken[port['number']]} has {port['number']}"
                )
    return said


def _texts(platform: Platform, scopes: list[dict[str, Any]]) -> dict[str, str]:
    """The files: names and texts."""
    files: dict[str, list[Part]] = {}
    owners: dict[str, list[dict[str, Any]]] = {}
    for names in scopes:
        for path, parts in platform.documents(names, job=names["job.input"] is not None).items():
            pairs = zip_longest(files.get(path, ()), parts, fillvalue=Part())
            files[path] = [one.joined(other) for one, other in pairs]
            owners.setdefault(path, []).append(names)
    texts = {}
    for path, parts in files.items():
        documents = [document for part in parts for document in part.made]
        texts[path] = _text(path, documents, platform, owners[path])
    return texts


def _text(path: str, documents: list[Any], platform: Platform, scopes: list[dict[str, Any]]) -> str:
    if path.endswith(".json"):
        whole = documents[0] if len(documents) == 1 else documents
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    head = [f"{path}: {MADE_BY} --for {platform.reference}, which writes it anew"]
    head += [
        line.strip()
        for line in (*_defaults(platform, scopes), *_unchecked(platform, scopes), *_secrets(platform, scopes))
    ]
    comments = "".join(f"# {harmless(line)}\n" for line in head)
    alone = f"# for {scopes[0]['label']} alone\n" if len(scopes) == 1 else ""
    return comments + alone + "---\n".join(render_document(document) for document in documents)


def _defaults(platform: Platform, scopes: list[dict[str, Any]]) -> list[str]:
    if not platform.uses("memory") and not platform.uses("memory_mib"):
        return []
    return [
        f"  {names['label']} is given {names['cpu']} cpu and {names['memory']}: defaults, where it names no `resources`"
        for names in scopes
        if names["resources.default"]
    ]


def _unchecked(platform: Platform, scopes: list[dict[str, Any]]) -> list[str]:
    """Which packages have no health check, where the platform runs a command for it."""
    if not platform.uses("check.command") and not platform.uses("each.command"):
        return []
    return [
        f"  {names['label']} has no health check: "
        + ("its image has no Python to ask with" if names["readiness"] else "it has no readiness route")
        for names in scopes
        if not names["check"] and names["job.input"] is None
    ]


def _secrets(platform: Platform, scopes: list[dict[str, Any]]) -> list[str]:
    """How each secret gets there, once."""
    found = {
        f"  secret {one['variable']}: {line}": None
        for names in scopes
        for one in names["secrets"]
        if (line := platform.line(platform.file.secret, {**names, **{f"each.{key}": one[key] for key in one}}))
    }
    return list(found)
