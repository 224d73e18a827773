"""The kinds of sources by name.

A kind's module has one function:

    locate(source, file, environ, web) -> (url, headers)

`source` is the source's JSON object: `kind`, the kind's own fields, and where it needs credentials `credentials`, which
maps a role (`username`, `password`, `token`, `header`, `sas_token`, `access_key_id`, `secret_access_key`,
`session_token`) to the name of a variable, or to what is no secret itself after a `=`. `within` is the address below
which the credentials may go, where that is not the whole server. `file` has `path`, `size` and
`sha256` (hex), and `key` where the source calls the file something else than its path. `environ` maps variables to
values: use `credential`, never os.environ, for what is secret. `web` sends what has to be asked first.

The url and headers are for one GET now: `locate` is asked again for every try, so tokens and signatures may be
short-lived, and it may be asked from several threads. The headers go to the url's own origin and to no other. It raises
Failure; no failure, url or source may hold a credential, except a url's query, which is never shown.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .failure import UNUSABLE, Failure
from .secret import conceal
from .web import Web

KINDS = {"http": "http", "oci": "registry", "s3": "s3", "mlflow": "mlflow", "huggingface": "huggingface"}
"""kind -> module of this package."""


def locate(
    source: Mapping[str, Any], file: Mapping[str, Any], environ: Mapping[str, str], web: Web
) -> tuple[str, dict[str, str]]:
    """Where `file` of `source` is to be fetched now: a url and the headers to send. Raises Failure."""
    kind = source.get("kind")
    if kind not in KINDS:
        raise Failure(UNUSABLE, f"no kind of source is named {kind!r}", hint=f"there are {', '.join(sorted(KINDS))}")
    found: tuple[str, dict[str, str]] = importlib.import_module(f".{KINDS[kind]}", __package__).locate(
        source, file, environ, web
    )
    return found


READ = {
    "http": ("url",),
    "oci": ("registry", "repository", "plain_http"),
    "s3": ("bucket", "prefix", "region", "endpoint", "anonymous"),
    "mlflow": ("tracking_uri", "artifacts", "uri"),
    "huggingface": ("repository", "revision", "prefix", "endpoint", "restricted"),
}
"""kind -> the fields that are read of a source, besides `kind`, `credentials` and `within`. All else is for people: how
it is called, what was asked for."""


def needed(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source with the fields that fetching reads, and no other."""
    fields = {"kind", "credentials", "within", *READ.get(str(source.get("kind")), source)}
    return {name: value for name, value in source.items() if name in fields}


OPEN = ("username", "header", "access_key_id")
"""Roles that are no secret."""


def credential(source: Mapping[str, Any], role: str, environ: Mapping[str, str], *defaults: str) -> str | None:
    """The credential of a role: of the variable the source names, else of the first of `defaults` that is set.

    A variable `NAME` may be given as `NAME_FILE`, the path of a file that holds it, as mounted secrets are. Raises
    Failure where that file cannot be read, and for what no credential is. What is secret is shown nowhere from then on.
    """
    named = (source.get("credentials") or {}).get(role)
    if named and named.startswith("="):
        return str(named[1:])
    for name in [named] if named else defaults:
        value, path = environ.get(name), environ.get(f"{name}_FILE")
        if not value and not path:
            continue
        value = value.rstrip("\r\n") if value else _read(name, path or "").strip()
        if not value:
            continue
        if role not in OPEN:
            signatures = (
                [part[4:] for part in value.split("&") if part.startswith("sig=")] if role == "sas_token" else []
            )
            conceal([value, value.lstrip("?"), *signatures])
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise Failure(
                UNUSABLE,
                f"what ${name} holds has a line break or control character in it, which no credential has",
                hint=f"set {name} to the secret and nothing else",
            )
        return value
    return None


def _read(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise Failure(UNUSABLE, f"the file named by ${name}_FILE cannot be read: {why}") from None


USUAL = {
    "s3": (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),),
    "mlflow": (("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), ("MLFLOW_TRACKING_TOKEN",)),
}
"""kind -> the variables that are looked at where a source names none; of several sets the first that is there."""


def advice(source: Mapping[str, Any], environ: Mapping[str, str], hint: str | None = None) -> str:
    """What to do where a source refuses: names the variables that are missing, or those whose values are refused.

    `hint` is what its answer hints at.
    """
    if source.get("kind") == "huggingface" and not source.get("credentials"):
        unsent: str | None = importlib.import_module(".huggingface", __package__).unsent(source, environ)
        return (
            unsent
            or hint
            or "see that its name is right; a private one wants a token that may read it in HF_TOKEN, which goes to "
            "huggingface.co, or where HF_ENDPOINT says"
        )
    if hint:
        return hint
    usual = USUAL.get(str(source.get("kind")), ((),))
    used = next(
        (names for names in usual for name in names[:1] if environ.get(name) or f"{name}_FILE" in environ), usual[0]
    )
    given = (source.get("credentials") or {}).values() or used
    names = sorted({name for name in given if not name.startswith("=")})
    missing = [name for name in names if not environ.get(name) and not environ.get(f"{name}_FILE")]
    if missing:
        variables = " and ".join(missing)
        return f"set {variables} for the container, or mount a file and name it in {missing[0]}_FILE"
    if names:
        return f"what {' and '.join(names)} holds is refused: it has expired, or may not read this; set a new one"
    return "it asks for credentials: name a connection for this source, or give them in ~/.netrc"


def describe(source: Mapping[str, Any]) -> str:
    """Where a source is, in a few words and without a credential."""
    kind = source.get("kind")
    if kind == "oci":
        return f"oci://{source.get('registry')}/{source.get('repository')}"
    if kind == "s3":
        return f"s3://{source.get('bucket')}/{source.get('prefix') or ''}"
    if kind == "huggingface":
        return f"hf://{source.get('repository')}@{str(source.get('revision'))[:12]}/{source.get('prefix') or ''}"
    parts = urlsplit(str(source.get("uri") or source.get("url") or source.get("tracking_uri") or ""))
    return f"{parts.scheme}:{'//' if parts.netloc else ''}{parts.netloc.rpartition('@')[2]}{parts.path}"


def safe_path(path: str) -> bool:
    """Whether a file's path stays below the directory it is to be laid in."""
    try:
        path.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON may hold and no file name does
        return False
    parts = path.split("/")
    return bool(path) and "\0" not in path and "\\" not in path and not {"", ".", ".."}.intersection(parts)


def join(directory: str, path: str) -> str:
    """`path` below `directory`. Raises Failure for one that leads out of it."""
    if not safe_path(path):
        raise Failure(UNUSABLE, f"the path {path!r} leads out of the model's directory")
    return os.path.join(directory, *path.split("/"))
