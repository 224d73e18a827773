"""Connections of a workspace: what stands at the other end, and how to sign in, by reference.

Imports pydantic; only imported when a BUILD.yaml is read.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from buildrules.credentials.address import is_open
from buildrules.credentials.connections import is_feed
from buildrules.credentials.redact import login_before_slash
from buildrules.credentials.secret_names import secret_in_query
from buildrules.workspace.validation import Strict, fitting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_USERINFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*@")
_REFERENCE_HINT = "name where it is kept: {env: NAME}, {file: path} or {keyring: service/user}"


class SecretReference(Strict):
    """Where a credential is kept. It is read at the moment it is needed, and never stored."""

    env: str | None = None
    """Name of an environment variable."""
    file: str | None = None
    """Path of a file; `~` is the home directory."""
    keyring: str | None = None
    """Entry of the system's keyring, as service/user."""

    @model_validator(mode="after")
    def _one(self) -> "SecretReference":
        if sum(value is not None for value in (self.env, self.file, self.keyring)) != 1:
            raise ValueError("a credential names exactly one of env, file and keyring")
        return self


def _reference(value: Any) -> Any:
    if isinstance(value, SecretReference | dict) or value is None:
        return value
    raise PydanticCustomError(
        "literal_secret", "a credential is written out; it must not stand in a file", {"hint": _REFERENCE_HINT}
    )


def _no_userinfo(value: str) -> str:
    if _USERINFO.match(value) or login_before_slash(value):
        raise PydanticCustomError(
            "literal_secret",
            "the address holds a user name or password",
            {"hint": "take them out, and put them in ~/.netrc"},
        )
    name = secret_in_query(value)
    if name is not None:
        raise PydanticCustomError(
            "literal_secret",
            "the address holds a credential, '{name}'",
            {"name": name, "hint": "take it out, and give it by `credentials:` of a connection"},
        )
    return value


def _package(value: str) -> str:
    if not _PACKAGE.fullmatch(value):
        raise PydanticCustomError(
            "package_name",
            "'{value}' is not the name of a package",
            {"value": value, "hint": "write each name by itself, without version or pattern: torch, torchvision"},
        )
    return re.sub(r"[-_.]+", "-", value).lower()


Secret = Annotated[SecretReference, BeforeValidator(_reference)]
Address = Annotated[str, AfterValidator(_no_userinfo)]
Name = Annotated[str, fitting(_NAME.fullmatch, "{} is not a name: use letters, digits and `_ . -`")]


class Credentials(Strict):
    """How to sign in. What is secret is named by reference; names and ids may be written out."""

    type: (
        Literal[
            "pat",
            "sas",
            "username_password",
            "managed_identity",
            "service_principal",
            "access_key",
            "api_key",
            "account_key",
            "aad",
            "none",
        ]
        | None
    ) = None
    """Kind of credential; follows from the other keys if left out."""
    pat: Secret | None = None
    sas_token: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    tenant_id: str | None = None
    resource_id: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    key: Secret | None = None
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")] | None = None
    """Header that a `pat` or `key` is sent in, where the server wants one of its own."""
    account_key: Secret | None = None

    @property
    def kind(self) -> str:
        """`type`, or the kind the other keys show."""
        if self.type is not None:
            return self.type
        given = self.model_fields_set
        return next((kind for kind, fields in _FIELDS.items() if fields and fields <= given), "none")

    @model_validator(mode="after")
    def _whole(self) -> "Credentials":
        kind = self.kind
        if kind in _UNSERVED:
            raise PydanticCustomError(
                "unserved_credentials",
                "credentials of type '{kind}' cannot be used: they come from a cloud's own sign-in",
                {"kind": kind, "hint": _UNSERVED[kind]},
            )
        given = self.model_fields_set - {"type"}
        if kind == "none" and given:
            raise ValueError(f"credentials are incomplete: {', '.join(sorted(given))} alone say nothing")
        missing = _FIELDS[kind] - given
        if missing:
            raise ValueError(f"credentials of type '{kind}' need {', '.join(sorted(missing))}")
        stray = given - _FIELDS[kind] - _OPTIONAL.get(kind, frozenset())
        if stray:
            raise ValueError(f"credentials of type '{kind}' have no {', '.join(sorted(stray))}")
        return self


_FIELDS: dict[str, frozenset[str]] = {
    "pat": frozenset({"pat"}),
    "sas": frozenset({"sas_token"}),
    "username_password": frozenset({"username", "password"}),
    "access_key": frozenset({"access_key_id", "secret_access_key"}),
    "api_key": frozenset({"key"}),
    "service_principal": frozenset({"client_id", "client_secret", "tenant_id"}),
    "account_key": frozenset({"account_key"}),
    "managed_identity": frozenset({"client_id"}),
    "aad": frozenset(),
    "none": frozenset(),
}
_OPTIONAL = {
    "pat": frozenset({"username", "header"}),
    "api_key": frozenset({"username", "header"}),
    "access_key": frozenset({"session_token"}),
}
_UNSERVED = {
    "managed_identity": "use a pat, a sas or username_password; buildrules has no identity of its own to show",
    "service_principal": "use a pat, a sas, or username_password: registries take client_id and client_secret so",
    "aad": "use a pat, a sas or username_password",
    "account_key": "use a sas: one can be made from the account key, for one container and read only",
}
_USABLE: dict[str, tuple[str, ...]] = {
    "git": ("pat", "username_password", "none"),
    "container_registry": ("username_password", "pat", "api_key", "none"),
    "oci": ("username_password", "pat", "api_key", "none"),
    "python_feed": ("pat", "username_password", "api_key", "none"),
    "debian_mirror": ("username_password", "pat", "api_key", "none"),
    "conda_channel": ("username_password", "pat", "api_key", "none"),
    "s3": ("access_key", "none"),
    "mlflow": ("pat", "username_password", "api_key", "none"),
    "huggingface": ("pat", "api_key", "none"),
    "azure_blob": ("sas", "none"),
    "azure_data_lake_gen2": ("sas", "none"),
}
"""Kinds of credentials by type of connection; a type that is not here takes all."""


class Connection(Strict):
    """A private feed, registry or model store."""

    type: Literal[
        "git",
        "container_registry",
        "python_feed",
        "debian_mirror",
        "conda_channel",
        "http",
        "s3",
        "mlflow",
        "huggingface",
        "oci",
        "azure_blob",
        "azure_data_lake_gen2",
        "custom",
    ]
    """What stands at the other end."""
    target: Address
    """Its address. The credentials go to this address and what lies below, nowhere else."""
    credentials: Credentials | None = None
    """How to sign in; nothing for anonymous access."""
    plain_http: bool = False
    """Send the credentials unencrypted, to an http address that is not this machine."""
    packages: list[Annotated[str, AfterValidator(_package)]] = Field(default_factory=list)
    """Packages that come from this Python feed only, and nothing else from it; if left out, it is asked for all."""

    @model_validator(mode="after")
    def _fits(self) -> "Connection":
        kind = self.credentials.kind if self.credentials else "none"
        usable = _USABLE.get(self.type, (kind,))
        if kind not in usable:
            raise ValueError(f"a connection of type '{self.type}' takes {', '.join(usable)}, not '{kind}'")
        if self.credentials and self.credentials.header and self.type not in ("http", "mlflow", "custom"):
            raise ValueError(f"a connection of type '{self.type}' takes no header")
        if self.packages and not is_feed(self.type, self.target):
            raise ValueError(f"a connection of type '{self.type}' is no Python feed, and takes no packages")
        if kind != "none" and not self.plain_http and is_open(self.target):
            raise PydanticCustomError(
                "open_credentials",
                "the credentials would go to '{target}' unencrypted",
                {"target": self.target, "hint": "use https, or say plain_http: true"},
            )
        return self

    def row(self, name: str) -> dict[str, Any]:
        """What a plan keeps of it, see `credentials.connections.use`: references, and no secret."""
        row: dict[str, Any] = {"name": name, "type": self.type, "target": self.target, "plain_http": self.plain_http}
        if self.packages:
            row["packages"] = self.packages
        if self.credentials is not None:
            row["kind"] = self.credentials.kind
            row["parts"] = self.credentials.model_dump(exclude_none=True, exclude={"type"})
        return row
