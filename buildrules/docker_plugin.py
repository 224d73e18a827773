"""`docker buildrules …`: the program that Docker's command line starts for it, installed by `buildrules setup docker`.

Docker hands on its whole command line, its own options before the plugin's name included. The protocol is that of
docker/cli, cli-plugins (metadata.go, socket/socket.go); completion is cobra's `__complete`.
"""

import json
import os
import sys

NAME = "buildrules"
_VALUED = {
    "c": "context", "H": "host", "l": "log-level",
    "config": "", "context": "", "host": "", "log-level": "", "tlscacert": "", "tlscert": "", "tlskey": "",
}  # fmt: skip
"""Docker's own options that have a value; the long name of a short one."""
_FILES = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
_NO_SPACE, _NO_FILES = 2, 4  # cobra's ShellCompDirective


def command() -> None:
    """What the installed program runs: answers Docker, or becomes `buildrules` with its options as variables."""
    from buildrules.__main__ import use_utf8

    use_utf8()
    words = sys.argv[1:]
    if words[:1] == ["docker-cli-plugin-metadata"]:
        sys.stdout.write(json.dumps(_metadata()))
        return
    asked = words.pop(0) if words[:1] in (["__complete"], ["__completeNoDesc"], ["help"]) else ""
    try:
        given, rest = split(words)
        os.environ.update(variables(given))
    except ValueError as error:
        sys.exit(f"error: {error}")
    if given.get("context", "default") != "default":
        os.environ.pop("DOCKER_HOST", None)  # as with Docker, the option wins
    if asked.startswith("__"):
        sys.stdout.write(_completed(rest))
        return
    if server := os.environ.pop("DOCKER_CLI_PLUGIN_SOCKET", ""):
        _end_with(server)
    sys.argv[1:] = [*rest, "--help"] if asked else rest
    from buildrules.__main__ import command as run

    run()


def split(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Docker's own options by their long names, and what stands behind the plugin's name.

    All words are the plugin's where Docker did not start it. Raises ValueError for an option without its value.
    """
    given: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0][:1] == "-" and NAME in rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--"):  # letters in one word; the rest of one with a value is its value
            at = next((number for number, letter in enumerate(name) if letter in _VALUED), None)
            if at is None:
                continue
            name, value = _VALUED[name[at]], word[at + 2 :].removeprefix("=")
            equals = word[at + 2 :]
        if name in _VALUED and not equals:
            if not rest:
                raise ValueError(f"docker's option '{word}' needs a value")
            value = rest.pop(0)
        given[name] = value
    if rest[:1] == [NAME]:
        return given, rest[1:]
    return {}, list(words)


def variables(given: dict[str, str]) -> dict[str, str]:
    """The variables that say the same as options of Docker's. Raises ValueError where there is none for one."""
    found = {"DOCKER_CONFIG": given.get("config"), "DOCKER_CONTEXT": given.get("context")}
    found["DOCKER_HOST"] = given.get("host")
    folders = set()
    for option, usual in _FILES.items():
        folder, name = os.path.split(given.get(option, usual))
        if name != usual:
            raise ValueError(f"'--{option} {given[option]}' must be a file named '{usual}'")
        folders |= {folder} if option in given else set()
    if len(folders) > 1:
        raise ValueError("--tlscacert, --tlscert and --tlskey must name files of one folder")
    tls, verify = (
        _truth(option, given[option]) if option in given else bool(os.environ.get(variable))
        for option, variable in (("tls", "DOCKER_TLS"), ("tlsverify", "DOCKER_TLS_VERIFY"))
    )
    if tls or verify or "tlsverify" in given:  # as --tlsverify=false is TLS, whose certificate is not checked
        from buildrules.oci.docker_connect import config_folder

        certificates = (folders.pop() or ".") if folders else os.environ.get("DOCKER_CERT_PATH")
        found["DOCKER_CERT_PATH"] = certificates or config_folder(os.environ)
        found["DOCKER_TLS_VERIFY"] = "1" if verify else ""
    elif folders or "tls" in given:  # without TLS Docker looks at no certificates
        found["DOCKER_CERT_PATH"] = ""
    return {name: value for name, value in found.items() if value is not None}


def _truth(option: str, value: str) -> bool:
    """Whether an option is on, as Go reads it (strconv.ParseBool). Raises ValueError."""
    if value in ("", "1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f"'--{option}={value}' is neither true nor false")


def _metadata() -> dict[str, str]:
    from buildrules import __version__

    about = "Package machine-learning models as images"
    return {"SchemaVersion": "0.1.0", "Vendor": NAME, "Version": __version__, "ShortDescription": about}


def _completed(words: list[str]) -> str:
    from buildrules.cli.complete import candidates

    found = candidates(words)
    flags = (_NO_FILES if found else 0) | (_NO_SPACE if len(found) == 1 and found[0].endswith(("/", ":")) else 0)
    return "".join(f"{one}\n" for one in [*found, f":{flags}"])


def _end_with(server: str) -> None:
    """Do what Ctrl-C does when Docker hangs up: a signal ends it alone, and it tells its plugin so by closing this."""
    import signal
    import socket
    import threading

    told = threading.Event()

    def interrupted(*_: object) -> None:
        told.set()
        raise KeyboardInterrupt

    def listen() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(server.replace("@", "\0", 1))
                connection.recv(1)
            except OSError:
                return
        if not told.wait(0.2):  # else a terminal sent its signal to both
            os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, interrupted)
    threading.Thread(target=listen, daemon=True).start()
