"""Picks targets by their tags."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from buildrules.errors import UsageError
from buildrules.workspace.suggest import did_you_mean

T = TypeVar("T")


def with_tags(labels: Sequence[T], tags: Collection[str], own: Mapping[T, set[str]], known: set[str] | None) -> list[T]:
    """Those of the labels that have one of the `tags` among their `own`, and none of those behind a minus.

    `known` are the tags of all targets, where these are known. Raises UsageError for one that is not among them.
    """
    wanted = {tag for tag in tags if not tag.startswith("-")}
    unwanted = {tag[1:] for tag in tags if tag.startswith("-")}
    for tag in sorted((wanted | unwanted) - known) if known is not None else ():
        raise UsageError(f"no target has the tag '{tag}'", hint=did_you_mean(tag, known or (), what="tags"))
    return [
        label
        for label in labels
        if (not wanted or not wanted.isdisjoint(own[label])) and unwanted.isdisjoint(own[label])
    ]
