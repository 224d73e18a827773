"""The manifests of a platform: its templates filled in for packages, and which packages a file that is there is for.

The names of a package are those of `deployable`, and more that say where its image lies.
"""

import json
import re
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from buildrules.authoring.document import render_document
from buildrules.errors import UsageError
from buildrules.rules.documents import Part
from buildrules.rules.platform import Platform
from buildrules.rules.types import ROUTE_NAMES

MADE_BY = "made by buildrules deploy-files"
_FOR = re.compile(re.escape(MADE_BY) + r" --for ([^\s,\"]+)")
_LABEL = re.compile(rf'^# for (//\S*)(?: alone)?\n|(//[^\s",]*), {MADE_BY}', re.MULTILINE)


def fitting(platform: Platform, names: Mapping[str, Any]) -> None:
    """Raise UsageError where the platform cannot have a package."""
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


def apart(scopes: list[dict[str, Any]]) -> None:
    """Raise UsageError where two packages have one name."""
    taken: dict[str, str] = {}
    for names in scopes:
        other = taken.setdefault(names["name"], names["label"])
        if other != names["label"]:
            raise UsageError(
                f"{other} and {names['label']} would both be named '{names['name']}'",
                hint="rename one, or deploy them one by one, each to a place and a folder (-o DIR) of its own",
            )


def publish(scopes: list[dict[str, Any]]) -> list[str]:
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


def manifests(platform: Platform, scopes: list[dict[str, Any]], shown: Callable[[str], str]) -> dict[str, str]:
    """The files: names and texts. `shown` makes harmless what others had a part in."""
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
        texts[path] = _text(path, documents, platform, owners[path], shown)
    return texts


def _text(
    path: str, documents: list[Any], platform: Platform, scopes: list[dict[str, Any]], shown: Callable[[str], str]
) -> str:
    if path.endswith(".json"):
        whole = documents[0] if len(documents) == 1 else documents
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    head = [f"{path}: {MADE_BY} --for {platform.reference}, which writes it anew"]
    head += [f"for {names['label']}" for names in scopes]
    head += [line.strip() for line in about(platform, scopes)]
    return "".join(f"# {shown(line)}\n" for line in head) + "---\n".join(
        render_document(document) for document in documents
    )


def about(platform: Platform, scopes: list[dict[str, Any]]) -> list[str]:
    """What people should know of the files: defaults, checks that are missing, where credentials are put."""
    return [*_defaults(platform, scopes), *_unchecked(platform, scopes), *_secrets(platform, scopes)]


def lost(former: str, new: str) -> list[str]:
    """The packages that the text of a file which is there is for, and that of the new one is not."""
    return sorted({*_labels(former)} - {*_labels(new)})


def written_for(text: str, path: str) -> str | None:
    """The platform that the beginning of a file of this command says; "" where it says none, None for others' files.

    The first line of YAML says so; JSON has no comments, so a platform has the words in a value near the beginning.
    """
    head = text if path.endswith(".json") else text.partition("\n")[0]
    said = _FOR.search(head)
    return None if MADE_BY not in head else said[1] if said else ""


def _labels(text: str) -> list[str]:
    return [one or other for one, other in _LABEL.findall(text)]


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
