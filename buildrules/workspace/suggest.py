"""Did you mean ...? One way to say it everywhere."""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, or None if none is. Case is ignored."""
    import difflib

    by_lower = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    found = difflib.get_close_matches(word.lower(), sorted(by_lower), n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, what: str = "known names", limit: int = 12) -> str | None:
    """A hint: the nearest known word, else the list of all if it is short, else None."""
    names = sorted(known)
    match = nearest(word, names)
    if match is not None:
        return f"did you mean '{match}'?"
    if names and len(names) <= limit:
        return f"{what}: {', '.join(names)}"
    return None
