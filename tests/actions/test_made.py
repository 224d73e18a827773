"""Outputs that somebody kept are believed only where they have the form of what their kind makes."""

import copy
import shutil
from collections.abc import Callable
from typing import Any

from buildrules.actions.made import fits
from buildrules.engine.action import Outputs
from buildrules.store.store import Store
from tests.support.space import Space


def changed(space: Space, change: Callable[[dict[str, Any]], None]) -> dict[str, dict[str, Any]]:
    """The outputs of every record of the store by kind, after `change` was made to each; the state is forgotten."""
    store, found = Store(space.env["BUILDRULES_CACHE_DIR"]), {}
    for key in store.records.keys():  # noqa: SIM118  no dictionary
        record = store.records.get(key) or {}
        change(record["outputs"])
        store.records.put(key, record)
        found[record["kind"].partition("/")[0]] = record["outputs"]
    store.close()
    shutil.rmtree(f"{store.root}/workspaces")
    return found


def test_every_value_has_its_type(built: Space) -> None:
    records = changed(built, lambda outputs: None)
    assert {"files_layer", "model_layers", "wheel_layer", "oci_base", "lint", "image"} <= records.keys()
    for kind, outputs in records.items():
        assert fits(kind, Outputs.from_dict(outputs)), kind
        for name in outputs["values"]:
            for wrong in (5.5, [5], {"x": 5}):
                other = copy.deepcopy(outputs)
                other["values"][name] = wrong
                assert not fits(kind, Outputs.from_dict(other)) or (name, wrong) == ("config", {"x": 5})
            other = copy.deepcopy(outputs)
            del other["values"][name]
            assert not fits(kind, Outputs.from_dict(other))
        other = copy.deepcopy(outputs)
        other["values"]["config"] = {"Env": 5}
        assert not fits(kind, Outputs.from_dict(other))
        for layer in outputs["layers"]:
            layer["recipe"] = {"version": 99}
            assert not fits(kind, Outputs.from_dict(outputs))
            layer["recipe"] = None
    image = records["image"]
    del image["blobs"]["manifest"]
    assert not fits("image", Outputs.from_dict(image))


def test_records_with_other_values_are_misses(built: Space) -> None:
    def wrong(outputs: dict[str, Any]) -> None:
        outputs["values"] = dict.fromkeys([*outputs["values"], "layers"], 5)

    changed(built, wrong)
    built.run("build", "//:app").said("built, 0 reused")
