"""What a build says at its end: lines for a person, one JSON object for a program."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from buildrules.cli.harmless import harmless, in_line, in_lines
from buildrules.engine.build import FIRST, Build
from buildrules.engine.changes import INPUT
from buildrules.engine.events import Status
from buildrules.engine.result import GoalResult, LayerResult, counts
from buildrules.errors import BuildrulesError
from buildrules.lints.finding import Finding
from buildrules.start.secret import hide
from buildrules.typed import Any

_FROM = {False: "from the store", True: "from the cache"}
_MANY = 4
_PASSING = re.compile(r"[\d.,]*:\d[\d:.,]*")  # times of a day, and addresses with ports
_WORDS = {Status.EXECUTED: "built", Status.CACHED: "reused", Status.UNCHANGED: "reused"}


def size_text(size: int) -> str:
    """A number of bytes as people write it: "17.1 MB" (powers of 1000)."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def _layer_line(item: LayerResult, known: set[str]) -> str:
    layer = item.layer
    why = ""
    if item.status is Status.EXECUTED:
        why = _first_of(item.reasons)
    elif layer.digest not in known:
        why = _FROM[item.borrowed]
    return f"  {_WORDS[item.status]:<7}{layer.digest[7:19]}  {size_text(layer.size):>9}  {item.title}  {why}".rstrip()


def _first_of(reasons: Sequence[str]) -> str:
    return "".join(reasons[:1]) + (f" (+{len(reasons) - 1} more)" if len(reasons) > 1 else "")


def _together(what: str, items: list[LayerResult], why: str) -> list[str]:
    if not items:
        return []
    size = sum(item.layer.size for item in items)
    return [f"  {what:<7}{_number_of(items)}, {size_text(size)}, {why}"]


def _number_of(layers: list[LayerResult]) -> str:
    return f"{len(layers)} layer{'s' * (len(layers) != 1)}"


def target_lines(result: GoalResult, shown_before: set[str], *, verbose: bool = False) -> list[str]:
    """What was built and reused of one goal, and why; the layers with sizes; the digest. Of an index only the last.

    Layers whose digest is in `shown_before` were listed with a target above; those listed here are added to it.
    """
    layers, known = result.layers, result.known
    if result.goal.kind == "index":
        total = f"{len(result.values['platforms'])} platforms, {size_text(result.size)}"
        return [f"{result.goal.label}  {result.goal.platform}", f"  index {result.digest}  ({total})"]
    lines = [f"{result.goal.label}  {result.goal.platform}"]
    shared = [] if verbose else [item for item in layers if item.layer.digest in shown_before]
    own = layers if verbose else [item for item in layers if item.layer.digest not in shown_before]
    fresh = [item for item in own if item.status is Status.EXECUTED or (known and item.layer.digest not in known)]
    listed = own if verbose or len(fresh) > len(own) / 2 else fresh
    lines += _together("shared", shared, "with targets above")
    rest = [item for item in own if item not in listed]
    origin = "unchanged" if known else _FROM[any(item.borrowed for item in rest)]
    lines += _together("reused", rest, origin)
    lines += [_layer_line(item, known) for item in listed]
    shown_before.update(item.layer.digest for item in listed)
    total = f"{_number_of(layers)}, {size_text(result.size)}"
    if result.status is not Status.EXECUTED:
        total += f", {_origin(result)}"
    elif result.goal.kind == "group" and not fresh:
        total += ", put together now"
    lines.append(f"  image {result.digest}  ({total})" if result.digest else f"  {total}")
    lines += _own_reasons(result)
    if reason := result.goal.info.get("no_bytecode"):
        lines.append(f"  no bytecode: {reason}")
    if result.goal.info.get("target_environment", {}).get("asked"):
        environment = environment_of(result)
        lines.append(f"  environment {environment['name']}:{environment['version']}")
    return lines


def _own_reasons(result: GoalResult) -> list[str]:
    """Why the image is another one, but for its layers, which are listed."""
    if result.goal.kind != "image" or result.same:
        return []
    reasons = [reason for reason in result.reasons if reason != FIRST and not reason.startswith(INPUT)]
    return [f"      {_first_of(reasons)}"] if reasons else []


def _origin(result: GoalResult) -> str:
    """Where something came from that did not have to be made."""
    return "unchanged" if result.same else _FROM[result.borrowed]


def short_line(result: GoalResult, origin: str) -> str:
    """One goal for which nothing ran."""
    what = result.digest or _number_of(result.layers)
    return f"{result.goal.label}  {result.goal.platform}  {what}  ({size_text(result.size)}, {origin})"


def summary(build: Build, seconds: float) -> str:
    """The last line."""
    count = counts(build)
    ran = (
        one for name, one in build.outcomes.items() if name not in build.plan.sides and one.status is Status.EXECUTED
    )
    away = sum(one.placed is not None and not one.placed.stayed for one in ran)
    elsewhere = f" ({away} elsewhere)" if away else ""
    parts = [f"{count['executed']} built{elsewhere}, {count['cached']} reused"]
    if count["failed"]:
        parts.append(f"{count['failed']} failed")
    parts.append(f"{size_text(build.here.bytes_read)} read")
    parts.append(f"{size_text(build.here.blobs.bytes_written)} written")
    if build.here.bytes_fetched:
        parts.append(fetched_text(build.here.moved))
    parts += [f"{size_text(size)} sent to the {place}" for place, size in build.here.sent.items()]
    return ", ".join(parts) + f" in {seconds:.2f} s"


def fetched_text(moved: Mapping[str, int]) -> str:
    """Bytes that were fetched, by where from: "17.1 MB fetched (17.0 MB cache, 102 kB index)"."""
    rows = sorted(((source, size) for source, size in moved.items() if size), key=lambda row: (-row[1], row[0]))
    sources = ", ".join(f"{size_text(size)} {source}" for source, size in rows)
    return f"{size_text(sum(moved.values()))} fetched ({sources})"


def text_report(results: Sequence[GoalResult | str], build: Build, seconds: float, *, verbose: bool) -> str:
    """The whole report for a person. A result that is text is a goal that nothing touched, see `text_piece`."""
    lines: list[str] = []
    shown: set[str] = set()
    for result in results:
        if isinstance(result, str):
            lines.append(result.rstrip("\n"))
            continue
        ran = any(status is Status.EXECUTED for status in (result.status, *(item.status for item in result.layers)))
        if not verbose and not ran and (result.same or result.before is None):
            lines.append(short_line(result, _origin(result)))
        else:
            lines += target_lines(result, shown, verbose=verbose)
    lines.append(summary(build, seconds))
    return in_lines(lines)


def text_piece(result: GoalResult) -> str:
    """What the next run prints of a goal if nothing has changed."""
    return in_line(short_line(result, "unchanged")) + "\n"


def text_frame(actions: int, first: str) -> tuple[str, str, str]:
    """What stands before (`first`), between and after the pieces; the time is appended by whoever prints it."""
    return first, "", f"0 built, {actions} reused, 0 B read, 0 B written in "


def _target_json(result: GoalResult, unchanged: Status | None = None) -> str:
    """One of the `targets` of `--json`; with `unchanged` all its layers are."""
    value = {
        "label": result.goal.label,
        "platform": result.goal.platform,
        "digest": result.digest,
        **_produced(result),
        "size": result.size,
        "layers": [
            {
                "digest": item.layer.digest,
                "diff_id": item.layer.diff_id,
                "size": item.layer.size,
                "media_type": item.layer.media_type,
                "origin": item.title,
                "status": _WORDS[unchanged or item.status],
            }
            for item in result.layers
        ],
    }
    return "\n    " + json.dumps(value, indent=2).replace("\n", "\n    ")


def json_piece(result: GoalResult) -> str:
    """What the next run prints of a goal as JSON if nothing has changed."""
    return _target_json(result, Status.UNCHANGED)


def _produced(result: GoalResult) -> dict[str, Any]:
    """What only some goals have: an image's environment (name and version), an index's platforms."""
    found: dict[str, Any] = {}
    if "target_environment" in result.goal.info:
        found["target_environment"] = environment_of(result)
    if result.goal.kind == "index":
        found["platforms"] = result.values["platforms"]
    return found


def environment_of(result: GoalResult) -> dict[str, str]:
    """Name and version of the environment a package makes: the version it asks for, else the digest's first digits."""
    said = dict(result.goal.info["target_environment"])
    return {"name": said["name"], "version": said.get("version") or result.digest[7:19]}


def json_report(
    results: Sequence[GoalResult | str],
    build: Build,
    seconds: float,
    log: dict[str, str],
    findings: Sequence[Finding] = (),
    shared: dict[str, int] | None = None,
    executor: Mapping[str, Any] | None = None,
) -> str:
    """The one object of `--json`; with `errors` where something failed, and `findings` of lints where there are any.

    `log` is the build's id, state and log file; `shared` is what the shared cache cost and brought, `executor` what
    --explain-executor says. A result that is text is a goal that nothing touched, see `json_piece`.
    """
    here = build.here
    value = _object(log, counts(build), here.bytes_read, here.blobs.bytes_written, here.bytes_fetched, here.moved)
    if shared is not None:
        value["cache"] = shared
    if executor is not None:
        value["executor"] = executor
    if findings:
        value["findings"] = [finding.to_dict() for finding in findings]
    if build.errors:
        value["errors"] = [error_json(error) for error in build.errors]
    value["seconds"] = round(seconds, 4)
    before, between, after = _around_targets(value, bool(results))
    pieces = [result if isinstance(result, str) else _target_json(result) for result in results]
    return f"{before}{between.join(pieces)}{after}\n"


def _object(
    log: dict[str, str],
    actions: dict[str, int],
    read: int = 0,
    written: int = 0,
    fetched: int = 0,
    moved: dict[str, int] | None = None,
) -> dict[str, Any]:
    """What every object of `--json` begins with; its targets are still to come."""
    sizes = {"read": read, "written": written, "fetched": fetched, "moved": moved or {}}
    return {"build": log, "targets": [], "actions": actions, "bytes": sizes}


def _around_targets(value: dict[str, Any], any_target: bool) -> tuple[str, str, str]:
    """The text of an object with an empty list of targets: before them, between them, after them."""
    before, mark, after = json.dumps(value, indent=2).partition('"targets": [')
    return before + mark, ",", ("\n  " if any_target else "") + after


def json_failure(error: BuildrulesError, seconds: float, log: dict[str, str]) -> str:
    """`--json` of a build that failed before its first action: loading, planning, locking."""
    value = _object(log, {"executed": 0, "cached": 0, "failed": 0})
    value |= {"errors": [error_json(item) for item in error.each], "seconds": round(seconds, 4)}
    return json.dumps(value, indent=2) + "\n"


def json_frame(actions: int, log: dict[str, str], any_target: bool) -> tuple[str, str, str]:
    """What stands before, between and after the pieces, up to the value of `seconds`."""
    value = {**_object(log, {"executed": 0, "cached": actions, "failed": 0}), "seconds": 0}
    before, between, after = _around_targets(value, any_target)
    return before, between, after.removesuffix("0\n}")


def error_json(error: BuildrulesError) -> dict[str, Any]:
    """An error as a program wants it."""
    value = {"message": error.message}
    if error.position:
        value["position"] = str(error.position)
        if error.position.folders:
            value["folder"] = error.position.folders[0]
    if error.hint:
        value["hint"] = error.hint
    if error.log:
        value["log"] = error.log
    return {name: _shown(text) for name, text in value.items()}


def error_text(error: BuildrulesError) -> str:
    """An error as a person wants it: place, message, the line with a caret, the log, the way out."""
    if error.each != [error]:
        return "\n".join(error_text(item) for item in error.each)
    where = f"{error.position}: " if error.position else ""
    lines = [f"error: {where}{error.message}{error.position.repeated if error.position else ''}"]
    if error.position and error.position.excerpt:
        lines += ["    " + line for line in error.position.excerpt.splitlines()]
    if error.log:
        lines += ["    " + line for line in folded(error.log.strip().splitlines())]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return harmless(_shown("\n".join(lines)))


def folded(lines: list[str]) -> Iterator[str]:
    """Lines of a log, where many in a row that differ in times and ports alone are one."""
    for _, group in groupby(lines, lambda line: _PASSING.sub("", line)):
        alike = list(group)
        yield from alike[:1] if len(alike) >= _MANY else alike
        if len(alike) >= _MANY:
            yield f"... {len(alike) - 1} more"


def _shown(text: str) -> str:
    """A text that may quote others, without secrets."""
    from buildrules.credentials.redact import without_logins

    return hide(without_logins(hide(text), queries=False))
