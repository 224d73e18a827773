"""Credentials for registries, from the workspace's connections, else Docker's own: auths, credHelpers, credsStore.

They are read at the moment of a fetch or push and live only in the objects made here, which print
without them. Needs the docker SDK, so everything is imported late.
"""

import os
from typing import Any

from buildrules.credentials.connections import Connections
from buildrules.start.http import basic
from buildrules.start.secret import conceal


class Credentials:
    """What to show a registry: user name and password, or an identity token; both None is anonymous.

    `problem` is the hint where they are refused: why Docker's configuration could not be read, or which
    connection they are of.
    """

    __slots__ = ("identity_token", "password", "problem", "username")

    def __init__(
        self,
        username: str | None = None,
        password: str | None = None,
        identity_token: str | None = None,
        problem: str | None = None,
    ) -> None:
        self.username = username
        self.password = password
        self.identity_token = identity_token
        self.problem = problem
        conceal(filter(None, (password, identity_token)))

    @property
    def anonymous(self) -> bool:
        """True where there is nothing to show."""
        return self.identity_token is None and (self.username is None or self.password is None)

    def basic(self) -> str | None:
        """The value of an `Authorization: Basic` header (RFC 7617), or None."""
        return None if self.username is None or self.password is None else basic(self.username, self.password)

    def __repr__(self) -> str:
        return "Credentials(anonymous)" if self.anonymous else "Credentials(***)"


ANONYMOUS = Credentials()


def credentials_for(host: str, connections: Connections, *, repository: str = "") -> Credentials:
    """The credentials for the registry `host[:port]`: of the connection for `repository`, else of Docker's config.json.

    Which file that is Docker's own rule says (DOCKER_CONFIG, then the home directory). A configuration or helper that
    does not work means anonymous access, with `problem` set. Raises CredentialsError where a connection's secret
    cannot be read.
    """
    import warnings

    connection = connections.serving_registry(host, repository)
    login = connection.login() if connection else None
    if connection and login:
        return Credentials(login.name, login.secret, problem=connection.refused("401 Unauthorized")[1])

    if not _configured():
        return ANONYMOUS
    import docker.auth
    import docker.errors

    try:
        with warnings.catch_warnings(action="ignore"):  # the SDK warns of a missing helper, and then raises
            found: dict[str, Any] | None = docker.auth.load_config().resolve_authconfig(host)
    except (docker.errors.DockerException, OSError, ValueError, TypeError, AttributeError) as error:
        # The SDK's message may quote what a helper printed; the class is enough to find the place.
        return Credentials(problem=f"docker's config.json gives no credentials for {host} ({type(error).__name__})")
    if not found:
        return ANONYMOUS
    lowered = {key.lower(): value for key, value in found.items() if isinstance(value, str) and value}
    return Credentials(lowered.get("username"), lowered.get("password"), lowered.get("identitytoken"))


def _configured() -> bool:
    """Whether there is a file that the docker SDK would read: importing it takes longer than to push a small layer."""
    home, named = os.path.expanduser("~"), os.environ.get("DOCKER_CONFIG")
    files = [os.path.join(home, ".docker", "config.json"), os.path.join(home, ".dockercfg")]
    return any(map(os.path.exists, [*files, os.path.join(named, "config.json")] if named else files))


def endpoint(host: str, repository: str) -> tuple[str, str]:
    """The host to speak to and the repository to ask for, where they differ from what a user writes.

    Docker's index answers under another name than its short one and keeps one-word repositories in
    `library/`; the names are the docker SDK's.
    """
    if host.removeprefix("index.") != "docker.io":
        return host, repository
    import docker.auth

    api = docker.auth.convert_to_hostname(docker.auth.INDEX_URL)
    return api, repository if "/" in repository else f"library/{repository}"
