"""Connections: a private feed, registry or store. Their secrets never go anywhere; references stand in for them."""

import re

from buildrules.authoring.target import clean_name
from buildrules.authoring.text import NewConnection
from buildrules.azureml.document import Document
from buildrules.azureml.table import Key, LeftOut, Map, Nested, Value
from buildrules.azureml.values import choice, text
from buildrules.credentials.redact import login_before_slash
from buildrules.credentials.secret_names import secret_in_query
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import LoadError, Position

_TYPES = ("git", "container_registry", "python_feed", "s3", "azure_data_lake_gen2", "azure_blob", "custom")
_OTHERS = (
    "snowflake", "azure_sql_db", "azure_synapse_analytics", "azure_my_sql_db", "azure_postgres_db", "generic",
    "azure_one_lake", "api_key", "azure_open_ai", "open_ai", "azure_ai_services", "azure_ai_search", "serp",
    "serverless", "azure_content_safety", "azure_speech_services",
)  # fmt: skip
_CREDENTIALS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pat": ((), ("pat",)),
    "sas": ((), ("sas_token",)),
    "username_password": (("username",), ("password",)),
    "managed_identity": (("client_id", "resource_id"), ()),
    "service_principal": (("client_id", "tenant_id"), ("client_secret",)),
    "access_key": (("access_key_id",), ("secret_access_key",)),
    "api_key": ((), ("key",)),
    "account_key": ((), ("account_key",)),
    "aad": ((), ()),
    "none": ((), ()),
}
"""Of each kind what is taken as it is, and what is secret and never looked at."""


class _Credentials(Map):
    """`credentials`."""

    type = Key(choice(*_CREDENTIALS), needs="")
    username = Key(text, "user")
    client_id = Key(text)
    resource_id = Key(text)
    tenant_id = Key(text)
    access_key_id = Key(text)
    secrets = LeftOut("a reference stands in for it", *(name for _, secret in _CREDENTIALS.values() for name in secret))


class _Hidden(Nested[_Credentials]):
    """A map; what else stands there may be a secret as a whole."""

    def __call__(self, value: Value) -> _Credentials:
        if value.node.kind != "map":
            raise _hidden(value.node, "'credentials' must be a map", "write {type: ..., ...}, as Azure ML does")
        return super().__call__(value)


class ConnectionKeys(Map):
    """A connection of its own file."""

    what = "a connection"
    name = Key(text, needs="")
    type = Key(choice(*_TYPES, *_OTHERS), "category", needs="")
    target = Key(text)
    credentials = Key(_Hidden(_Credentials))
    others = LeftOut(
        "", "$schema", "is_shared", "metadata", "tags", "description", "auth_type", "expiry_time", "endpoint",
        "azure_endpoint", "api_base", "url", "id", "account_name", "container_name", "server", "database",
    )  # fmt: skip


def read_connection(document: Document, problems: Problems) -> NewConnection | str | None:
    """The connection of a document; a sentence on why it is not carried over; None where something is wrong."""
    given = ConnectionKeys(document.node, problems)
    kind, target = given.type, given.target
    if given.name is None or kind is None or not given.sound:
        return None
    if kind not in _TYPES:
        return f"connection '{given.name}' left out: nothing that is built reads from '{kind}'"
    if target is None:
        given.missing("target", "the address of the feed, registry or store")
        return None
    found = NewConnection(clean_name(given.name), kind, target)
    secret = secret_in_query(target)
    if secret or login_before_slash(target) or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*@", target):
        what = f"a credential, '{secret}'" if secret else "a user name or password"
        problems.add_error(_hidden(given.at("target"), f"the address holds {what}", "take it out"))
        return None
    if kind == "git" and "/simple" in target:
        found.type = "python_feed"
        found.comments.append("type git: the address is a Python feed's")
    if given.credentials is not None:
        _refer(found, given.credentials)
    return found


def _hidden(node: Node, message: str, hint: str) -> LoadError:
    """An error that points at a node, and does not show the line."""
    place = node.position
    return LoadError(message, hint=hint, position=Position(place.path, place.line, place.column))


def _refer(found: NewConnection, given: _Credentials) -> None:
    """What is open of the credentials, and references to what is secret."""
    if given.type in (None, "none"):
        return
    found.credentials["type"] = given.type
    open_, secret = _CREDENTIALS[given.type]
    found.credentials |= {name: given.values[name] for name in open_ if name in given.values}
    for name in secret:
        variable = re.sub(r"[^A-Za-z0-9]+", "_", f"{found.name}_{name}").upper()
        found.credentials[name] = {"env": variable}
        found.comments.append(f"put the {name} into the environment variable {variable} where you build")
