"""The tables of keys against what Azure ML's own SDK and REST interface take (see published.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from buildrules.azureml.assets import DataFile, ModelFile
from buildrules.azureml.connection import ConnectionKeys
from buildrules.azureml.deployment import BatchKeys, OnlineKeys
from buildrules.azureml.environment import EnvironmentFile
from buildrules.azureml.package import PackageKeys
from buildrules.azureml.table import Map

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())
TABLES: dict[str, type[Map]] = {
    "package": PackageKeys,
    "environment": EnvironmentFile,
    "model": ModelFile,
    "data": DataFile,
    "online": OnlineKeys,
    "kubernetes": OnlineKeys,
    "batch": BatchKeys,
    "model_batch": BatchKeys,
    "connection": ConnectionKeys,
}
REFUSED = {"batch.component", "batch.job_definition"}  # of pipelines, which hold no model


def unknown(rows: type[Map], keys: dict[str, Any], place: str) -> list[str]:
    """The published keys that no row names, all of the way down to them."""
    spelled = {spelling: row for row in rows.rows.values() for spelling in row.spellings}
    found = [f"{place}.{key}" for key in keys if key not in spelled]
    for key, below in keys.items():
        inner = spelled[key].below if key in spelled else None
        if inner is not None:
            found += unknown(inner, below, f"{place}.{key}")
    return found


@pytest.mark.parametrize(("source", "kind"), [(source, kind) for source in PUBLISHED for kind in PUBLISHED[source]])
def test_every_published_key_has_a_verdict(source: str, kind: str) -> None:
    keys = PUBLISHED[source][kind]
    assert len(keys) > 4
    assert set(unknown(TABLES[kind], keys, kind)) - REFUSED == set()
