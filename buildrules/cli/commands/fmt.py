"""`buildrules fmt`."""

import difflib
import errno
import os
import sys
from collections.abc import Iterator

import click

from buildrules.authoring.form import usual_form
from buildrules.authoring.paths import display
from buildrules.document.problems import Problems
from buildrules.document.reader import parse
from buildrules.errors import LoadError, UsageError
from buildrules.state.rows import Stat, row_of
from buildrules.workspace.loader import packages_below
from buildrules.workspace.root import BUILD_FILE, find_root, read_file


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; list the files that would change, and exit with 1 if any.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change, and exit with 1 if anything.")
def command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Put BUILD.yaml files into their usual form: those of the workspace, of these folders, or these files.

    Comments are kept, and what the files say stays the same. `-` reads standard input and writes standard output.
    """
    if "-" in paths:
        text = sys.stdin.read()
        sys.stdout.write(usual_form("standard input", text))
        return 0
    problems = Problems()
    changed = 0
    files = list(dict.fromkeys(_files(paths)))
    for path in files:
        row = row_of(path)
        try:
            data = read_file(path, _root(path))
            before = data.decode("utf-8")
            after = usual_form(display(path), before)
        except LoadError as error:
            problems.add_error(error)
            continue
        except UnicodeDecodeError:
            parse(display(path), data, problems)  # says what it is, and how to mend it
            continue
        except OSError as error:
            problems.add(f"cannot read '{display(path)}': {(error.strerror or str(error)).lower()}")
            continue
        if before == after:
            continue
        changed += 1
        if diff:
            old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(old, new, display(path), display(path)))
            continue
        if not check:
            _replace(path, after, row)
        sys.stdout.write(f"{display(path)}\n")
    problems.raise_all()
    said = "would change" if check or diff else "changed"
    sys.stderr.write(f"{changed} of {len(files)} files {said}\n")
    return 1 if changed and (check or diff) else 0


def _files(paths: tuple[str, ...]) -> Iterator[str]:
    if not paths:
        yield from _below(find_root(os.getcwd()))
    for path in paths:
        if os.path.isdir(path):
            yield from _below(os.path.abspath(path))
        elif os.path.exists(path):
            yield os.path.abspath(path)
        else:
            raise UsageError(f"no file or folder '{path}'", hint="buildrules fmt alone takes the whole workspace")


def _below(folder: str) -> Iterator[str]:
    for package in packages_below(folder):
        yield os.path.join(package, BUILD_FILE)


def _root(path: str) -> str:
    """Where links may lead from a file: the workspace around it, or its folder where there is none."""
    try:
        return find_root(os.path.dirname(path))
    except UsageError:
        return os.path.dirname(path)


def _replace(path: str, text: str, row: Stat | None) -> None:
    """Write a file anew, all or nothing; `row` is what it had before it was read."""
    real = os.path.realpath(path)
    aside = f"{real}.{os.getpid()}.tmp"
    try:
        with open(aside, "x", encoding="utf-8") as file:
            file.write(text)
        os.chmod(aside, os.stat(real).st_mode & 0o7777)
        if row_of(path) != row:
            raise UsageError(f"'{display(path)}' was changed meanwhile", hint="it is left as it is: run it again")
        os.replace(aside, real)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = "make room there" if error.errno == errno.ENOSPC else "make it and its folder writable"
        raise UsageError(f"cannot write '{display(path)}': {reason}", hint=hint) from error
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
