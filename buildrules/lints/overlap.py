"""Files of the model that the code's globs match as well: they would be in the image twice."""

from collections.abc import Iterable, Mapping

from buildrules.lints.finding import WARNING, Finding


def model_in_code(code: Iterable[tuple[str, int]], models: Mapping[str, str], above: str = "") -> list[Finding]:
    """A finding for each of `models` (path of its folder or file -> label) with files among the code's.

    `code` are paths and sizes in bytes; a model's "" is the folder they are below. `above` stands before a path.
    """
    files = list(code)
    found = []
    for folder, label in models.items():
        inside = [(path, size) for path, size in files if folder in ("", path) or path.startswith(f"{folder}/")]
        if inside:
            size = sum(size for _, size in inside)
            first = f"'{above}{inside[0][0]}'"
            what = first if len(inside) == 1 else f"{len(inside)} files, {first} among them,"
            verb = "is" if len(inside) == 1 else "are"
            found.append(
                Finding(
                    "model_in_code",
                    WARNING,
                    f"{what} {verb} of the model {label} ({_size(size)}) and packaged with the code as well",
                    hint="leave them out of the code: `exclude` in the scoring_code, or narrower srcs",
                )
            )
    return found


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
