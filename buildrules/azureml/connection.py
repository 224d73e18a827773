"""Connections: a private feed, registry or store. Their secrets never go anywhere; references stand in for them."""

import re
from dataclasses import dataclass, field

from buildrules.azureml.document import Document
from buildrules.azureml.fields import Section
from buildrules.azureml.targets import clean_name
from buildrules.credentials.address import secret_in_query
from buildrules.credentials.shown import login_before_slash
from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import LoadError, Position

__all__ = ["Connection", "read_connection"]

_NAMES = (
    "$schema", "name", "type", "target", "credentials", "is_shared", "metadata", "tags", "description", "category",
    "auth_type", "expiry_time", "endpoint", "azure_endpoint", "api_base", "url", "id", "account_name",
    "container_name", "server", "database",
)  # fmt: skip
_TYPES = {
    "git": "git",
    "container_registry": "container_registry",
    "python_feed": "python_feed",
    "s3": "s3",
    "azure_data_lake_gen2": "azure_data_lake_gen2",
    "azure_blob": "azure_blob",
    "custom": "custom",
}
_OTHERS = (
    "snowflake", "azure_sql_db", "azure_synapse_analytics", "azure_my_sql_db", "azure_postgres_db", "generic",
    "azure_one_lake", "api_key", "azure_open_ai", "open_ai", "azure_ai_services", "azure_ai_search", "serp",
    "serverless", "azure_content_safety", "azure_speech_services",
)  # fmt: skip
_SECRETS = {
    "pat": ("pat",),
    "sas": ("sas_token",),
    "username_password": ("password",),
    "managed_identity": (),
    "service_principal": ("client_secret",),
    "access_key": ("secret_access_key",),
    "api_key": ("key",),
    "account_key": ("account_key",),
    "aad": (),
    "none": (),
}
_OPEN = {
    "username_password": ("username",),
    "managed_identity": ("client_id", "resource_id"),
    "service_principal": ("client_id", "tenant_id"),
    "access_key": ("access_key_id",),
}


@dataclass(slots=True)
class Connection:
    """`credentials` are as in `workspace.connections`: what is secret is `{"env": NAME}`."""

    name: str
    type: str
    target: str
    credentials: dict[str, str | dict[str, str]] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


def read_connection(document: Document, problems: Problems) -> Connection | str | None:
    """The connection of a document; a sentence on why it is not carried over; None where something is wrong."""
    section = Section(document.node, "a connection", _NAMES, problems, {"category": "type", "authType": "auth_type"})
    name = section.text("name", required=True)
    kind = section.choice("type", (*_TYPES, *_OTHERS), required=True)
    if not _is_map(section, problems):
        return None
    credentials = section.section(
        "credentials",
        ("type", *dict.fromkeys(n for table in (_SECRETS, _OPEN) for names in table.values() for n in names)),
        {"user": "username"},
    )
    if name is None or kind is None:
        return None
    if kind not in _TYPES:
        return f"connection '{name}' left out: nothing that is built reads from '{kind}'"
    target = section.text("target", required=True, hint="the address of the feed, registry or store")
    if target is None:
        return None
    found = Connection(clean_name(name), _TYPES[kind], target)
    secret = secret_in_query(target)
    if secret or login_before_slash(target) or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*@", target):
        what = f"a credential, '{secret}'" if secret else "a user name or password"
        problems.add_error(_hidden(section.node("target") or section.given, f"the address holds {what}", "take it out"))
        return None
    if kind == "git" and "/simple" in target:
        found.type = "python_feed"
        found.comments.append("type git: the address is a Python feed's")
    if credentials is not None:
        _credentials(found, credentials)
    return found


def _is_map(section: Section, problems: Problems) -> bool:
    """Whether the credentials are a map; what else stands there may be a secret as a whole."""
    node = section.node("credentials")
    if node is None or node.kind == "map" or node.is_null:
        return True
    problems.add_error(_hidden(node, "'credentials' must be a map", "write {type: ..., ...}, as Azure ML does"))
    return False


def _hidden(node: Node, message: str, hint: str) -> LoadError:
    """An error that points at a node, and does not show the line."""
    place = node.position
    return LoadError(message, hint=hint, position=Position(place.path, place.line, place.column))


def _credentials(found: Connection, section: Section) -> None:
    kind = section.choice("type", tuple(_SECRETS), required=True)
    if kind is None or kind == "none":
        return
    found.credentials["type"] = kind
    for name in _OPEN.get(kind, ()):
        text = section.text(name)
        if text is not None:
            found.credentials[name] = text
    for name in _SECRETS[kind]:
        variable = re.sub(r"[^A-Za-z0-9]+", "_", f"{found.name}_{name}").upper()
        found.credentials[name] = {"env": variable}
        found.comments.append(f"put the {name} into the environment variable {variable} where you build")
