"""What one command found out of a workspace and others ask again: kept beside its state, in the form of one.

What was looked at are its groups: while they hold, the records do. Record 0 is what the search for packages leaves out.
"""

import marshal

from buildrules.state.location import identity, state_path
from buildrules.state.reader import ACTION, UNREADABLE, State, absolute, open_state
from buildrules.state.rows import changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildrules.engine.inputs import Facts


def kept(root: str, prefix: str, ending: str, configurations: "Sequence[str]" = ()) -> State | None:
    """The state with what was kept under this ending, if it still holds; its records are those of actions, from 1 on.

    `prefix` leads from the current directory to the workspace: "" or ends in a slash. What was kept for other
    `configurations` does not hold.
    """
    wanted = identity(root, tuple(configurations))
    state = open_state(f"{state_path(root, wanted)}.{ending}", wanted)
    if state is None:
        return None
    try:
        numbers, counts, paths, expected = state.all_groups()
        groups = changed(numbers, counts, absolute(paths, prefix.encode("utf-8", "surrogateescape")), expected)
        return state if not groups or _hold(state, root, wanted, groups) else None
    except UNREADABLE:
        return None


def _hold(state: State, root: str, wanted: bytes, groups: list[int]) -> bool:
    """Whether these groups say the same, though their rows differ; the rows of now are kept then."""
    import contextlib

    from buildrules.cli.looked_at import Search
    from buildrules.engine.inputs import Facts
    from buildrules.engine.remember import Draft, now
    from buildrules.state.writer import whole, write_base

    began = now()
    search = Search(root, marshal.loads(state.raw(ACTION, 0)))  # noqa: S302 - made here, and checked
    renewed: dict[int, Facts] = {}
    fresh: list[Facts] = []  # of folders that came, in which nothing matters
    for number in groups:
        facts = Facts(*state.group(number)[0]).renewed(root)
        if not facts.hold(root, search):
            found = search.new_below(facts)
            if found is None:
                return False
            facts, *more = found
            fresh += more
        renewed[number] = facts
    base = whole(state)
    rows = list(base.groups)
    for number, facts in renewed.items():
        rows[number] = Draft(facts).row(root, began)
    rows += [Draft(facts).row(root, began) for facts in fresh]
    with contextlib.suppress(OSError):  # then the next one looks again
        write_base(state.path, wanted, base._replace(groups=rows))
    return True


def keep(
    root: str,
    ending: str,
    began: int,
    facts: "Mapping[str, Facts]",
    ignore: "Sequence[str]",
    records: "Sequence[bytes]",
    configurations: "Sequence[str]" = (),
) -> None:
    """Keep records that hold while these facts do, looked at since `began` (ns). Failing to only costs time."""
    import contextlib

    from buildrules.engine.remember import base_of
    from buildrules.state.writer import write_base

    base, _ = base_of(root, began, facts, (), ())
    actions = [marshal.dumps(list(ignore)), *records]
    wanted = identity(root, tuple(configurations))
    with contextlib.suppress(OSError):
        write_base(
            f"{state_path(root, wanted)}.{ending}", wanted, base._replace(actions=actions, links=[b""] * len(actions))
        )
