"""What can stand in the place of a word that is being written: verbs, options and their values, labels."""

from collections.abc import Iterable, Iterator, Sequence

import click

from buildrules.cli.kept_targets import targets_of_workspace
from buildrules.cli.main import cli
from buildrules.cli.table import VERBS
from buildrules.errors import BuildrulesError
from buildrules.workspace.root import here

_PLATFORMS = ("linux/amd64", "linux/arm64")


def candidates(words: Sequence[str]) -> list[str]:
    """What the last of `words`, those behind the program's name, can become; none where it is a file, or anything."""
    *before, current = words or [""]
    while len(before) > 1 and before[0] == "-C":
        del before[:2]
    if not before or before == ["-C"]:
        return [] if before else [name for name in VERBS if name.startswith(current)]
    context = click.Context(cli)
    command = cli.get_command(context, before[0])
    for name in before[1:]:
        if isinstance(command, click.Group):
            command = command.get_command(context, name)
    if command is None or isinstance(command, click.Group):
        names = [] if command is None else command.list_commands(context)
        return [name for name in names if name.startswith(current)]
    start, name, value = "", before[-1], current
    if current.startswith("--") and "=" in current:
        name, _, value = current.partition("=")
        start = f"{name}="
    option = next((one for one in command.params if isinstance(one, click.Option) and name in one.opts), None)
    if option is not None and not option.is_flag:
        return [start + one for one in _values(option) if one.startswith(value)]
    if current.startswith("-") and not current.startswith(("-/", "-:")):
        names = [name for one in command.params if isinstance(one, click.Option) for name in one.opts]
        return sorted(name for name in [*names, "--help"] if name.startswith(current) and name.startswith("--"))
    takes = {str(one.name): one.type for one in command.params if isinstance(one, click.Argument)}
    if takes.keys() & {"patterns", "label", "labels"}:
        return list(labels(current))
    first = next(iter(takes.values()), None) if len(before) == 1 else None
    return [one for one in first.choices if one.startswith(current)] if isinstance(first, click.Choice) else []


def _values(option: click.Option) -> Iterable[str]:
    if isinstance(option.type, click.Choice):
        return map(str, option.type.choices)
    if option.name == "platform":
        return _PLATFORMS
    ask = {
        "configurations": _configurations,
        "with_tags": _tags,
        "since": _revisions,
        "sync": _groups,
        "upgrades": _distributions,
    }.get(str(option.name))
    try:
        return [] if ask is None else ask(*here())
    except (BuildrulesError, OSError):
        return []


def _configurations(root: str, _directory: str, _prefix: str) -> Iterable[str]:
    from buildrules.workspace.loader import read_settings

    return read_settings(root).configurations


def _tags(root: str, _directory: str, prefix: str) -> Iterable[str]:
    targets = targets_of_workspace(root, prefix).targets
    tags = {tag for number in targets.written for tag in targets.detail(number)[3].get("tags") or ()}
    return [minus + tag for minus in ("", "-") for tag in sorted(tags)]


def _groups(root: str, _directory: str, prefix: str) -> Iterable[str]:
    targets = targets_of_workspace(root, prefix).targets
    return sorted({str(group) for n in targets.written if (group := targets.detail(n)[3].get("group")) is not None})


def _distributions(root: str, _directory: str, _prefix: str) -> Iterable[str]:
    from buildrules.cli.locked_names import locked_names

    return sorted(locked_names(root))


def _revisions(root: str, _directory: str, _prefix: str) -> Iterable[str]:
    from buildrules.revisions.git import git

    return ["HEAD", *git(root, "for-each-ref", "--format=%(refname:short)").decode().split()]


def labels(current: str) -> Iterator[str]:
    """The labels and packages that a pattern can become, a folder at a time, as paths are completed."""
    minus = "-" if current.startswith("-") else ""
    wanted = current.removeprefix("-")
    try:
        root, directory, prefix = here()
        targets = targets_of_workspace(root, prefix).targets
    except (BuildrulesError, OSError):
        return
    known = [targets.labels[number] for number in targets.written]
    if wanted.startswith(":"):
        own = f"//{directory}"
        yield from (minus + name for label in known if (name := label.removeprefix(own)).startswith(wanted))
        return
    found = sorted({_step(label, len(wanted)) for label in known if label.startswith(wanted)} or ())
    while len(found) == 1 and found[0].endswith("/"):  # the only way on
        wanted = found[0]
        found = sorted({_step(label, len(wanted)) for label in known if label.startswith(wanted)})
    yield from (minus + one for one in found)


def _step(label: str, start: int) -> str:
    """A label up to the end of its next folder, or whole where its name is next."""
    at = label.find("/", max(start, 2))
    if at >= 0:
        return label[: at + 1]
    colon = label.find(":")
    return label if start > colon else label[: colon + 1]
