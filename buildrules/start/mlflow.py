"""Artifacts of an MLflow tracking server: `{"kind": "mlflow", "tracking_uri": ..., "artifacts": ...}`.

`artifacts` is the folder the files lie in: `mlflow-artifacts:/PATH`, which the tracking server itself hands out,
`mlflow-artifacts://HOST/PATH`, or an http(s) address. Credentials are those the source names, else what the variables
of MLflow's own client hold; they go to the tracking server and to no other.

Source: MLflow 3 REST API and "Artifact Store"; `mlflow/store/artifact/mlflow_artifacts_repo.py` for the addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from .failure import UNUSABLE, Failure
from .http import authorization
from .web import Web

API = "api/2.0/mlflow-artifacts/artifacts"
USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"


def locate(
    source: Mapping[str, Any], file: Mapping[str, Any], environ: Mapping[str, str], _: Web
) -> tuple[str, dict[str, str]]:
    """The artifact's url, and the header the server wants."""
    base, folder = artifacts(source)
    path = "/".join(filter(None, [folder, file.get("key") or file["path"]]))
    url = f"{base}/{quote(path)}"
    return url, headers(source, url, environ)


def artifacts(source: Mapping[str, Any]) -> tuple[str, str]:
    """(address, path below it) of a source's folder. Raises Failure for a scheme that only other clients understand."""
    try:
        parts = urlsplit(source["artifacts"])
    except ValueError:
        raise Failure(UNUSABLE, f"{source['artifacts']!r} is not an address of artifacts") from None
    tracking: str = source["tracking_uri"].rstrip("/")
    if parts.scheme in ("http", "https"):
        return source["artifacts"].rstrip("/"), ""
    if parts.scheme != "mlflow-artifacts":
        raise Failure(UNUSABLE, f"artifacts in {parts.scheme!r} cannot be fetched from an MLflow server")
    if parts.netloc:
        tracking = f"{urlsplit(tracking).scheme}://{parts.netloc}"
    return f"{tracking}/{API}", parts.path.strip("/")


def headers(source: Mapping[str, Any], url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The credentials for `url`; none where it is not on the tracking server."""
    ours, theirs = urlsplit(source["tracking_uri"]), urlsplit(url)
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        return {}
    if source.get("credentials"):
        return authorization(source, url, environ)
    if environ.get(USER) or environ.get(f"{USER}_FILE"):
        roles = {"username": USER, "password": PASSWORD}
    else:
        roles = {"token": TOKEN}
    return authorization({"credentials": roles}, url, environ)
