"""What `buildrules deploy-files` does once the packages are built: write the manifests of a platform."""

import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from buildrules.authoring.paths import display
from buildrules.cli.content import Content, packages
from buildrules.cli.destination import destination, whole
from buildrules.cli.harmless import harmless
from buildrules.cli.invocation import Invocation
from buildrules.cli.report import environment_of
from buildrules.cli.request import Request
from buildrules.cli.writing import beginning, write_text
from buildrules.deploy.deployable import deployable
from buildrules.deploy.manifests import MADE_BY, about, apart, fitting, lost, manifests, publish, written_for
from buildrules.engine.result import GoalResult
from buildrules.errors import UsageError
from buildrules.rules.platform import Platform
from buildrules.rules.platforms import Platforms

STDOUT = "-"
_ELSEWHERE = "name another folder (-o DIR), or move it away"


def after(invocation: Invocation) -> int:
    """Write the files and say what to do with them; returns the exit code."""
    request = invocation.request
    platform = Platforms(invocation.root, invocation.directory).find(str(request.option("platform_name")))
    given = platform.set(request.option("settings", []))
    scopes = [_names(invocation, result, platform, given) for result in packages(invocation, "deployed")]
    apart(scopes)
    moved = publish(scopes) if platform.uses("each.published") else []
    texts = manifests(platform, scopes, harmless)
    invocation.console.close()
    folder = str(request.option("output"))
    if folder == STDOUT:
        between = "" if next(iter(texts)).endswith(".json") else "---\n"
        sys.stdout.write(between.join(texts.values()))
        return 0
    for path, text in texts.items():
        _check_own(os.path.join(folder, path), text, platform)
    for path, text in texts.items():
        write_text(os.path.join(folder, path), text)
    shown = display(os.path.abspath(folder))
    said = [f"wrote {shown}/{path}" for path in texts]
    said += [f"  {names['label']} as {names['image']}" for names in scopes]
    said += [*moved, *about(platform, scopes)]
    if whole(request):
        said.append("  --to is the whole repository, as one package is named; with several each goes below it")
    said.append(f"next: buildrules push {_named(request)}")
    lines = [platform.line(platform.file.next, {**names, "folder": shlex.quote(shown)}) for names in scopes]
    said += [f"next: {line}" for line in dict.fromkeys(lines) if line]
    sys.stdout.write(harmless("\n".join(said) + "\n"))
    return 0


def _named(request: Request) -> str:
    """The packages as a command line names them, and where they go."""
    from buildrules.cli.commands.push import command
    from buildrules.cli.groups import AZUREML, GroupedOption

    words = [] if request.option("package") else list(request.patterns)
    for one in command.params:
        carried = one.name in ("platform", "configurations", "to")
        if not carried and not (isinstance(one, GroupedOption) and one.group == AZUREML):
            continue
        given = request.option(str(one.name), [])
        for value in given if isinstance(given, (list, tuple)) else [given]:
            path = one.name in ("package", "code", "environment")  # which were made absolute
            words += [one.opts[0], display(str(value)) if path else str(value)]
    return shlex.join(words)


def _check_own(place: str, text: str, platform: Platform) -> None:
    """Raise UsageError where a file is there that this command did not write, or wrote for another platform or for
    packages that the new one has not. A file that begins as `text` may be there too.
    """
    found, shown = beginning(place), display(os.path.abspath(place))
    said = written_for(found, place)
    if found and said is None and found != text[: len(found)]:
        told = f"; its platform may say {MADE_BY!r} in a value near the beginning" if place.endswith(".json") else ""
        raise UsageError(
            f"'{shown}' is there, and was not written by this command",
            hint=f"{_ELSEWHERE}{told}",
        )
    if said and said != platform.reference:
        raise UsageError(f"'{shown}' was written for another platform, {said}", hint=_ELSEWHERE)
    if others := lost(found, text):
        several = place.endswith((".yaml", ".yml")) and len(platform.file.files) == 1
        raise UsageError(
            f"'{shown}' is there, and was written for {', '.join(others)}",
            hint=f"{'name all packages that it is for, or ' if several else ''}{_ELSEWHERE}",
        )


def _names(invocation: Invocation, result: GoalResult, platform: Platform, given: Mapping[str, Any]) -> dict[str, Any]:
    """What templates may say of a package. Raises UsageError where the platform cannot have it."""
    image = next(one for one in invocation.results if one.goal.kind == "image" and one.goal.label == result.goal.label)
    config = Content(invocation, image).image.settings.get("config") or {}
    names = deployable(invocation.plan, invocation.session.connections, image, config, platform.file.longest_name)
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
    fitting(platform, names)
    return {**names, **platform.attributes(given, gpu=bool(names["gpu"]))}
