"""The forms in which Azure ML names a thing."""

import pytest

from buildrules.azureml.references import Place, parse_reference

WORKSPACE = "subscriptions/0a/resourcegroups/g/workspaces/w"
ARM = "/subscriptions/0a/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@pytest.mark.parametrize(
    ("text", "name", "version", "label", "kind"),
    [
        ("azureml:my-env:1", "my-env", "1", None, None),
        ("azureml:my.env_2:1.0.3", "my.env_2", "1.0.3", None, None),
        ("azureml:my-env@latest", "my-env", None, "latest", None),
        ("azureml:my-env", "my-env", None, None, None),
        ("azureml://registries/r/environments/n/versions/3", "n", "3", None, "environments"),
        ("azureml://registries/r/environments/n/labels/latest", "n", None, "latest", "environments"),
        ("azureml://registries/r/models/n", "n", None, None, "models"),
        ("azureml://locations/l/workspaces/0f/data/n/versions/v1", "n", "v1", None, "data"),
        (f"azureml://{WORKSPACE}/models/n/versions/2", "n", "2", None, "models"),
        ("azureml://models/n/versions/2", "n", "2", None, "models"),
        (f"{ARM}/environments/n/versions/2", "n", "2", None, "environments"),
        (f"azureml:{ARM}/codes/n/versions/2", "n", "2", None, "codes"),
    ],
)
def test_assets(text: str, name: str, version: str | None, label: str | None, kind: str | None) -> None:
    found = parse_reference(text)
    assert (found.place, found.name, found.version, found.label, found.kind) == (
        Place.ASSET,
        name,
        version,
        label,
        kind,
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("azureml://datastores/d/paths/p/q.txt", Place.STORE),
        (f"azureml://{WORKSPACE}/datastores/d/paths/p", Place.STORE),
        ("azureml://jobs/j/outputs/o/paths/p", Place.STORE),
        ("azureml:jobs/j/outputs/o", Place.STORE),
        ("wasbs://c@a.example/p", Place.STORE),
        ("abfss://c@a.example/p", Place.STORE),
        ("runs:/0a/model", Place.URI),
        ("models:/n/1", Place.URI),
        ("https://x.example/a:1", Place.URI),
        ("s3://bucket/key", Place.URI),
        ("oci://registry.example/m:1", Place.URI),
        ("model", Place.LOCAL),
        ("../a/b:c", Place.LOCAL),
        ("./model", Place.LOCAL),
        ("/var/model", Place.LOCAL),
        ("file:model", Place.LOCAL),
        ("file:///var/model", Place.LOCAL),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert parse_reference(text).place is place


def test_the_short_form_is_taken_only_where_it_may_stand() -> None:
    assert parse_reference("m:3").place is Place.LOCAL
    found = parse_reference("m:3", short=True)
    assert (found.place, found.name, found.version) == (Place.ASSET, "m", "3")
    assert parse_reference("m@latest", short=True).label == "latest"
    assert parse_reference("a/b", short=True).place is Place.LOCAL


def test_a_model_of_azure_s_copy_of_the_hub() -> None:
    text = "azureml://registries/HuggingFace/models/bert-base-uncased/versions/3"
    assert "--model hf://ORG/bert-base-uncased" in parse_reference(text).way_out("name it")
    assert parse_reference(text.replace("HuggingFace", "azureml")).way_out("name it") == "name it"
