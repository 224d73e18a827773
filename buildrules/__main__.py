"""The entry point. An unchanged build is answered from the state of its workspace; everything else goes to `cli`."""

import gc
import os
import sys

from buildrules.errors import BuildrulesError, UnheardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeVar

    T = TypeVar("T")


def command() -> "NoReturn":
    """What the installed program runs: `main`, and then an end at once.

    Taking an interpreter down module by module takes as long as an unchanged build of one target. Whatever has to be
    closed or removed was, by those who opened it.
    """
    use_utf8()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib costs more than all that is imported here
            stream.flush()
        except (OSError, ValueError):
            pass  # what could not be written was said, or nobody hears it
    os._exit(code)


def use_utf8() -> None:
    """Begin anew where the locale has names of files in another encoding: they would be others in images (PEP 540)."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def main() -> int:
    """Run the command in `sys.argv`; returns the exit code."""
    argv = sys.argv[1:]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before we began, as by ">&-": then nobody wants to hear
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    gc.disable()  # whoever works for long turns it on again; what is imported and read until then stays
    try:
        code = _from_state(argv) if argv and argv[0][:1] != "-" else None
        if code is None:
            from buildrules.cli.main import run

            gc.enable()
            code = _heard(lambda: run(argv))
    except KeyboardInterrupt:  # before anybody was there to say what was kept
        sys.stderr.write("\nerror: interrupted\n")
        return 130
    except (Exception, UnheardError) as error:  # noqa: BLE001 - nobody is left to catch it
        from buildrules.cli.crash import last_words

        return last_words(error, argv)
    finally:
        gc.enable()
    return code


def _from_state(argv: list[str]) -> int | None:
    """Answer, or go on from, what the state knows of this very command line. None where it knows nothing."""
    if argv[0] in ("query", "affected"):
        from buildrules.cli.shortly import shortly

        return shortly(argv)
    return _resumed(argv)


def _resumed(argv: list[str]) -> int | None:
    """The same of a command that builds."""
    import time

    began = time.perf_counter()
    from buildrules.state.location import configurations, identity, state_path
    from buildrules.state.reader import Damaged, open_state
    from buildrules.workspace.root import find_root, package_of

    try:
        here = os.getcwd()
        own = _workspace_of_file(argv)
        root = own or find_root(here)
        inside = f"{os.path.realpath(here)}/".startswith(root.rstrip("/") + "/")
        directory = package_of(root, here) if inside else ""
        words = [directory, *argv, here] if own else [directory, *argv]  # its paths are relative to here
    except (BuildrulesError, OSError):
        return None
    wanted = identity(root, configurations(argv))
    state = open_state(state_path(root, wanted), wanted)
    if state is None:
        return None
    try:
        known = state.request(words)
        if known is None:
            return None
        prefix = "../" * (directory.count("/") + 1) if directory else "" if here == root else root + "/"
        groups = state.changed(known, prefix)
    except Damaged:
        return None
    if argv[0] == "build" and not groups and known.holds(state.stale) and not _told(argv):
        try:
            sys.stdout.write(known.answer(time.perf_counter() - began))
            sys.stdout.flush()
        except OSError as error:
            from buildrules.cli.output import unheard

            raise unheard(sys.stdout, error) from error
        return 0
    from buildrules.cli.verbs import resume

    return _heard(lambda: resume(root, directory, words, state, known, groups))


def _workspace_of_file(argv: list[str]) -> str | None:
    """The root of the workspace that a file of Azure ML makes by itself, where all it names lies beside it or below.

    None where `--package` names none, or one in a workspace. Where it is wrong nothing was kept for it.
    """
    from buildrules.workspace.root import find_root

    for number, word in enumerate(argv):
        option, equals, path = word.partition("=")
        if option == "--package" and (equals or number + 1 < len(argv)):
            folder = os.path.dirname(os.path.abspath(path if equals else argv[number + 1]))
            try:
                return find_root(folder)
            except BuildrulesError:
                return folder
    return None


def _told(argv: list[str]) -> bool:
    """Whether events or a profile are wanted, which only a build tells."""
    return any(word.partition("=")[0] in ("--profile", "--events", "--progress") for word in argv)


def _heard(command: "Callable[[], T]") -> "T":
    """Run `command` while standard output and error raise UnheardError where they cannot be written."""
    from buildrules.cli.output import Output

    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Output(sys.stdout), Output(sys.stderr)
    try:
        code = _terminable(command)
        sys.stdout.flush()
        return code
    finally:
        sys.stdout, sys.stderr = streams


def _terminable(command: "Callable[[], T]") -> "T":
    """Run `command` while SIGTERM, by which CI cancels, and SIGHUP, of a terminal that is closed, do what Ctrl-C does:
    finished work is kept, and what was started is stopped.
    """
    import signal
    import threading

    mine = []
    if threading.current_thread() is threading.main_thread():
        mine = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in mine:
        signal.signal(one, signal.default_int_handler)
    try:
        return command()
    finally:
        for one in mine:
            signal.signal(one, signal.SIG_DFL)


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
