"""What a command line of `run` gives the container. It is read before the build too, to say at once what is wrong."""

import os

from buildrules.cli.env_file import name_fault, read_env_file
from buildrules.cli.request import Request
from buildrules.errors import UsageError
from buildrules.oci.docker_http import Engine
from buildrules.serving.given import HOST, Given, Gpus, is_local, volume


def check(request: Request) -> None:
    """Raise what is known to be wrong before anything is built."""
    what_is_given(request, None)
    for path in request.option("env_file", []):
        if os.path.isfile(path) or not os.path.exists(path):  # a pipe can be read once only
            read_env_file(path)
    _environment(request.option("env", []))


def variables(request: Request) -> dict[str, str]:
    """Those of --env-file and, over them, of --env. Raises UsageError, LoadError."""
    found = {}
    for path in request.option("env_file", []):
        found.update(read_env_file(path))
    return found | _environment(request.option("env", []))


def what_is_given(request: Request, engine: Engine | None) -> Given:
    """All else. Without the engine nobody knows yet whether that sees files of this machine. Raises UsageError."""
    network, gpus = request.option("network"), request.option("gpus")
    if network == HOST and request.option("port"):
        raise UsageError(
            "with --network host the package listens at its own ports of this machine",
            hint="leave out --port, or --network host",
        )
    local = engine is not None and is_local(engine)
    volumes = tuple(volume(text, local=local) for text in request.option("volume", []))
    return Given(request.option("name"), volumes, network, Gpus.parse(gpus) if gpus else None)


def _environment(items: list[str]) -> dict[str, str]:
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if (wrong := name_fault(name)) is not None:
            raise UsageError(f"--env {f'{name}=...' if equals else name!r}: {wrong[0]}", hint=wrong[1])
        if not equals:
            if name not in os.environ:
                raise UsageError(
                    f"the variable {name!r} is not set in this shell", hint=f"set it, or write {name}=VALUE"
                )
            value = os.environ[name]
        pairs[name] = value
    return pairs
