"""Models of an MLflow tracking server, by its REST API.

    models:/NAME/VERSION  models:/NAME@ALIAS  models:/NAME/latest  models:/m-ID  runs:/RUN/PATH  mlflow-artifacts:/PATH

All but the last may go on with the path of a folder or file inside. What an alias or `latest` names now is looked up;
the source that comes out says which version it is, and is the same for as long as that is.

Source: MLflow 3 REST API ("Get RegisteredModel", "Get ModelVersion", "Search ModelVersions", "Get Download URI For
ModelVersion Artifacts", "Get Run", "Get Logged Model").
"""

import dataclasses
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from buildrules.actions.models.access import Access
from buildrules.actions.models.file import File
from buildrules.credentials.secret_names import secret_in_query
from buildrules.errors import FetchError, GoneError, UsageError
from buildrules.locking.models import s3
from buildrules.locking.models.origin import Resolved
from buildrules.start.address import is_loopback
from buildrules.start.mlflow import artifacts, headers
from buildrules.start.refusal import NOT_THERE
from buildrules.start.secret import repeats
from buildrules.start.sources import safe_path

MOST_FILES = 100_000
DEEPEST = 32  # folders inside each other
FORMS = "write models:/NAME/VERSION, models:/NAME@ALIAS, models:/NAME/latest, models:/m-ID or runs:/RUN/PATH"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_MODEL_ID = re.compile(r"m-[A-Za-z0-9]{1,64}")
_ALIAS = re.compile(r"[A-Za-z0-9_.-]{1,255}")


def resolve(uri: str, access: Access) -> Resolved:
    """The files `uri` names now; each is fetched once."""
    server = _Server(tracking_uri(access), access)
    parts = _parts(uri)
    if uri.startswith("models:"):
        found, inside = server.model(parts, uri)
    elif uri.startswith("runs:"):
        found, inside = server.run(parts, uri)
    else:
        found, inside = {"uri": uri, "artifacts": uri}, ""
    return server.files(found, inside, uri)


def place(uri: str) -> dict[str, Any]:
    """The source of files below `uri`: only an artifact location says where its files are without being asked."""
    parts = _parts(uri)
    if not uri.startswith("mlflow-artifacts:") or not parts or not urlsplit(uri).hostname:
        raise UsageError(
            f"{uri!r} has to be looked up at a tracking server when it is fetched",
            hint="write where the artifacts are, as in mlflow-artifacts://HOST/PATH or s3://BUCKET/PREFIX",
        )
    host = urlsplit(uri).hostname or ""
    tracking = f"{'http' if is_loopback(host) else 'https'}://{urlsplit(uri).netloc}"
    return {"kind": "mlflow", "tracking_uri": tracking, "artifacts": uri}


def tracking_uri(access: Access) -> str:
    """The tracking server's address: what the target says, its connection, MLFLOW_TRACKING_URI. Raises UsageError."""
    return _tracking(access.tracking_uri or access.target or access.environ.get("MLFLOW_TRACKING_URI"))


def _tracking(uri: str | None) -> str:
    if not uri:
        raise UsageError("no MLflow tracking server is named", hint="set `tracking_uri:` or MLFLOW_TRACKING_URI")
    parts = urlsplit(uri)
    if parts.username is not None or parts.password is not None or parts.query:
        raise UsageError(
            "the address of the MLflow tracking server holds credentials",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or name a connection",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{uri!r} is not an MLflow tracking server that can be asked: its address begins with http:// or https://",
            hint="serve the folder or database with 'mlflow server --backend-store-uri ...', or use `path:`",
        )
    return uri.rstrip("/")


class _Server:
    """What is asked of one tracking server."""

    def __init__(self, tracking: str, access: Access) -> None:
        self._tracking = tracking
        self._access = access
        self._source = {"kind": "mlflow", "tracking_uri": tracking}

    def model(self, parts: list[str], uri: str) -> tuple[dict[str, Any], str]:
        """(what the source says, path inside) of a `models:` uri."""
        head = parts[0] if parts else ""
        if _MODEL_ID.fullmatch(head):
            return self._logged(head), "/".join(parts[1:])
        name, at, alias = head.partition("@")
        if at:
            if not _ALIAS.fullmatch(alias):
                raise UsageError(f"{uri!r} names no alias", hint=FORMS)
            return self._version(name, self._aliased(name, alias), alias), "/".join(parts[1:])
        version = parts[1] if len(parts) > 1 else ""
        if version == "latest":
            return self._version(name, self._latest(name)), "/".join(parts[2:])
        if not version.isdecimal():
            raise UsageError(
                f"{uri!r} names no version of model {head!r}",
                hint=FORMS + ("; stages such as Production are aliases now" if version else ""),
            )
        return self._version(name, version), "/".join(parts[2:])

    def run(self, parts: list[str], uri: str) -> tuple[dict[str, Any], str]:
        """(what the source says, path inside) of a `runs:` uri. A logged model stands among the run's artifacts."""
        if not parts or not _ID.fullmatch(parts[0]):
            raise UsageError(f"{uri!r} names no run", hint="write runs:/RUN/PATH")
        answer = self._map(self._get("runs/get", f"run {parts[0]!r}", run_id=parts[0]).get("run"))
        info, outputs = self._map(answer.get("info")), self._map(answer.get("outputs"))
        models = [self._logged_info(str(item.get("model_id"))) for item in self._maps(outputs.get("model_outputs"))]
        named = [model for model in models if parts[1:] and model.get("name") == parts[1]]
        found = {"uri": f"runs:/{'/'.join(parts)}", "run_id": parts[0]}
        if named:
            newest = max(named, key=lambda model: _number(model.get("creation_timestamp_ms")) or 0)
            return {**self._logged_source(newest), **found}, "/".join(parts[2:])
        return {**found, "artifacts": _text(info, "artifact_uri", uri)}, "/".join(parts[1:])

    def _aliased(self, name: str, alias: str) -> str:
        answer = self._get("registered-models/get", f"model {name!r}", name=name)
        rows = self._maps(self._map(answer.get("registered_model")).get("aliases"))
        aliases = {str(row.get("alias")): row for row in rows}
        if alias not in aliases:
            known = ", ".join(sorted(aliases))
            raise GoneError(
                f"model {name!r} has no alias {alias!r} at {self._tracking}",
                hint=f"there are: {known}" if known else "it has none; name a version, as in models:/NAME/3",
            )
        return _text(aliases[alias], "version", name)

    def _latest(self, name: str) -> str:
        quoted = f'"{name}"' if "'" in name else f"'{name}'"
        query = {"filter": f"name={quoted}", "order_by": "version_number DESC", "max_results": "1"}
        versions = self._maps(self._get("model-versions/search", f"model {name!r}", **query).get("model_versions"))
        if not versions:
            raise GoneError(f"model {name!r} has no versions at {self._tracking}", hint="check its name")
        return _text(versions[0], "version", name)

    def _version(self, name: str, version: str, alias: str | None = None) -> dict[str, Any]:
        what = f"version {version} of model {name!r}"
        row = self._map(self._get("model-versions/get", what, name=name, version=version).get("model_version"))
        version, status = _text(row, "version", name), row.get("status") or "READY"
        if status != "READY":
            raise FetchError(f"{what} is not ready: {status}", hint="wait until it is registered")
        where = self._get("model-versions/get-download-uri", what, name=name, version=version)
        location = _text(where, "artifact_uri", name)
        found = {
            "uri": f"models:/{quote(name)}/{version}",
            "model": name,
            "version": version,
            "artifacts": location,
            **({"alias": alias} if alias else {}),
            **({"run_id": _text(row, "run_id", name)} if row.get("run_id") else {}),
        }
        if location.startswith("models:"):
            return {**found, **self._logged(location.removeprefix("models:").strip("/")), "uri": found["uri"]}
        return found

    def _logged(self, model_id: str) -> dict[str, Any]:
        return self._logged_source(self._logged_info(model_id))

    def _logged_info(self, model_id: str) -> dict[str, Any]:
        if not _MODEL_ID.fullmatch(model_id):
            raise FetchError(f"{self._tracking} names a logged model {model_id!r}, and has none of that id")
        answer = self._get(f"logged-models/{model_id}", f"logged model {model_id!r}")
        info = self._map(self._map(answer.get("model")).get("info"))
        return {**info, "model_id": model_id}

    def _logged_source(self, info: Mapping[str, Any]) -> dict[str, Any]:
        model_id, status = info["model_id"], info.get("status") or "LOGGED_MODEL_READY"
        if status != "LOGGED_MODEL_READY":
            raise FetchError(f"logged model {model_id!r} is not ready: {status}", hint="log it again")
        return {
            "uri": f"models:/{model_id}",
            "model_id": model_id,
            "artifacts": _text(info, "artifact_uri", model_id),
            **({"run_id": _text(info, "source_run_id", model_id)} if info.get("source_run_id") else {}),
        }

    def files(self, found: dict[str, Any], inside: str, uri: str) -> Resolved:
        """The files in the folder `inside` of an artifact location, or the one file it is."""
        location = found.pop("artifacts")
        _require_plain(location, uri)
        if location.startswith("s3://"):
            return self._in_bucket(found, location, inside)
        source = {**self._source, **found, "artifacts": _below(location, inside)}
        self._check(location, uri)
        files = list(self._walk(source, uri))
        if not files:
            parent, _, name = inside.rpartition("/")
            source["artifacts"] = _below(location, parent)
            files = [row for row in self._listed(source, "", uri) if row["path"] == name and not row["is_dir"]]
        if not files:
            raise GoneError(f"{uri!r} has no artifacts at {self._tracking}", hint="check the path")
        rows = [{"path": row["path"]} | ({"size": row["size"]} if row["size"] is not None else {}) for row in files]
        digests = self._access.take_all(source, rows)
        return Resolved(source, [File(row["path"], *digest) for row, digest in zip(rows, digests, strict=True)])

    def _in_bucket(self, found: dict[str, Any], location: str, inside: str) -> Resolved:
        """As of `files`, read from the bucket: its credentials and endpoint are not the tracking server's."""
        access = dataclasses.replace(self._access, target=None, anonymous=False, connection=None)
        where = _below(location, inside)
        source = s3.place(where)
        source |= s3.surroundings(source["bucket"], access)
        endpoint = access.environ.get("MLFLOW_S3_ENDPOINT_URL")
        resolved = s3.resolve_at(source | ({"endpoint": endpoint} if endpoint else {}), where, access)
        return Resolved({**found, **resolved.source}, resolved.files)

    def _walk(self, source: Mapping[str, Any], uri: str) -> Iterator[dict[str, Any]]:
        """The files in all folders, which count as well: a server can name folders without an end."""
        count = 0
        waiting = [("", 0)]
        while waiting:
            folder, depth = waiting.pop()
            if depth > DEEPEST:
                raise FetchError(f"the artifacts of {uri!r} are folders inside each other without an end")
            rows = self._listed(source, folder, uri)
            count += len(rows)
            if count > MOST_FILES:
                raise UsageError(f"{uri!r} has more than {MOST_FILES} artifacts", hint="name the folder of one model")
            waiting += [(row["path"], depth + 1) for row in rows if row["is_dir"]]
            yield from (row for row in rows if not row["is_dir"])

    def _listed(self, source: Mapping[str, Any], folder: str, uri: str) -> list[dict[str, Any]]:
        base, path = artifacts(source)
        url = f"{base}?{urlencode({'path': posixpath.join(path, folder).strip('/')})}"
        answer = self._ask(url, source)
        rows = []
        for item in self._maps(answer.get("files")):
            name, size = item.get("path"), _number(item.get("file_size"))
            if not isinstance(name, str) or not safe_path(name):
                raise UsageError(f"{uri!r} has an artifact named {name!r}, which cannot become a file")
            rows.append({"path": posixpath.join(folder, name), "is_dir": bool(item.get("is_dir")), "size": size})
        return rows

    def _check(self, location: str, uri: str) -> None:
        try:
            scheme = urlsplit(location).scheme
        except ValueError:
            raise self._nonsense() from None
        if scheme not in ("mlflow-artifacts", "http", "https"):
            raise FetchError(
                f"the artifacts of {uri!r} are kept in {scheme or 'a folder of the server'}, which cannot be read here",
                hint="let the tracking server hand artifacts out (mlflow server --serve-artifacts), or keep them in s3://",
            )

    def _get(self, path: str, what: str, **query: str) -> dict[str, Any]:
        url = f"{self._tracking}/api/2.0/mlflow/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            return self._ask(url, self._source)
        except GoneError as error:
            if NOT_THERE in error.message:
                raise GoneError(f"there is no {what} at {self._tracking}", hint="check its name") from None
            raise self._nonsense() from None

    def _ask(self, url: str, source: Mapping[str, Any]) -> dict[str, Any]:
        environ = self._access.environ
        data = self._access.ask(source, lambda armed: (url, headers(armed, url, environ)))
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._nonsense()
        return answer

    def _map(self, value: Any) -> dict[str, Any]:
        """A part of an answer that is a map, or left out. Raises FetchError."""
        if value is not None and not isinstance(value, dict):
            raise self._nonsense()
        return value or {}

    def _maps(self, value: Any) -> list[dict[str, Any]]:
        """A part of an answer that is a list of maps, or left out. Raises FetchError."""
        if value is not None and not isinstance(value, list):
            raise self._nonsense()
        return [self._map(item) for item in value or ()]

    def _nonsense(self) -> FetchError:
        return FetchError(
            f"{self._tracking} does not answer as an MLflow tracking server does",
            hint="check the tracking server's address, as in MLFLOW_TRACKING_URI",
        )


def _parts(uri: str) -> list[str]:
    """The segments of a uri's path. Raises UsageError where one leads elsewhere."""
    rest = uri.partition(":")[2]
    if rest.startswith("//") and not uri.startswith("mlflow-artifacts:"):
        raise UsageError(f"{uri!r} names a server, which a model's uri does not do here", hint=FORMS)
    parts = [unquote(part) for part in urlsplit(uri).path.strip("/").split("/")] if rest.strip("/") else []
    if not rest.startswith("/") or not all(map(safe_path, parts)):
        raise UsageError(f"{uri!r} does not say which model", hint=FORMS)
    return parts


def _require_plain(location: str, uri: str) -> None:
    """Raise FetchError for a place of artifacts that holds a credential: it would stand in the lock, and in images.

    A web address with a query is none that files lie below, whatever the query says.
    """
    try:
        parts = urlsplit(location)
    except ValueError:
        raise FetchError(
            f"the artifacts of {uri!r} are at an address that is not valid", hint="ask who runs the server"
        ) from None
    more = parts.scheme in ("http", "https") and not {"?", "#"}.isdisjoint(location)
    if "@" in parts.netloc or secret_in_query(location) or more or repeats(location):
        raise FetchError(
            f"the place the tracking server names for the artifacts of {uri!r} holds a credential, or has a query",
            hint="let the experiment keep its artifacts at a plain address, and give credentials by a connection",
        )


def _below(location: str, path: str) -> str:
    return f"{location.rstrip('/')}/{path}" if path else location


def _text(row: Mapping[str, Any], name: str, what: str) -> str:
    value = row.get(name)
    text = str(value) if isinstance(value, (str, int)) else ""
    if not text or not text.isprintable():  # it is shown, and stands in the lock
        raise FetchError(f"the tracking server gave no {name} for {what!r}")
    return text


def _number(value: Any) -> int | None:
    """A number that is told as such or as a text; None for anything else."""
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 20 else None
