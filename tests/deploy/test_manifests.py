"""`buildrules deploy-files`: what stands in manifests, held against what the platforms publish (see published.py)."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from buildrules.deploy.deployable import memory_for
from tests.support.space import APP, Space, make_base

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())
AZUREML = json.loads((Path(__file__).parents[1] / "azureml/published.json").read_text())["sdk"]
APPS, CORE, BATCH = "io.k8s.api.apps.v1.", "io.k8s.api.core.v1.", "io.k8s.api.batch.v1."
KINDS = {
    "Deployment": APPS + "Deployment",
    "Service": CORE + "Service",
    "Job": BATCH + "Job",
    "InferenceService": "V1beta1InferenceService",
    "Microsoft.Web/serverfarms": "azure.AppServicePlan",
    "Microsoft.Web/sites": "azure.Site",
}
HUB = "hub.example/team/app"
SECRET = "s3cret-value-of-the-token"
CONNECTION = """\
  connections:
    model_files: {type: custom, target: "https://files.example/m", credentials: {pat: {env: FILES_TOKEN}}}
"""
TWIN = """\
  twin: {rule: model_package, base_env: ":env", server: ":server", code: ":code"}
"""


def written(space: Space, platform: str, *words: str, patterns: tuple[str, ...] = (APP,)) -> dict[str, list[Any]]:
    """The documents of each file that the command writes."""
    folder = space.folder / f"deploy-{os.urandom(3).hex()}"
    space.run("deploy-files", *patterns, "--for", platform, "--to", HUB, "-o", str(folder), *words)
    found = {}
    for path in sorted(folder.iterdir()):
        read = json.loads if path.suffix == ".json" else yaml.safe_load_all
        loaded = read(path.read_text())
        found[path.name] = [loaded] if isinstance(loaded, dict) else list(loaded)
    return found


def fits(document: dict[str, Any], name: str, **left_out: Any) -> None:
    value = {key: item for key, item in document.items() if key not in left_out}
    validator = jsonschema.Draft202012Validator({**PUBLISHED, "$ref": f"#/$defs/{name}"})
    assert [f"{error.json_path}: {error.message}"[:300] for error in validator.iter_errors(value)] == []


def known(document: dict[str, Any], keys: dict[str, Any], place: str = "") -> None:
    """That all keys of a document are published; what has no keys below it may hold anything."""
    for key, value in document.items():
        assert key in keys or key == "$schema", f"{place}{key}"
        if keys.get(key) and isinstance(value, dict):
            known(value, keys[key], f"{place}{key}.")


@pytest.fixture
def rich(built: Space) -> Space:
    """A package that downloads its model with a credential, and says what it is to be given."""
    built.edit("BUILD.yaml", "targets:\n", CONNECTION + "targets:\n")
    built.edit("BUILD.yaml", "path: weights}", "path: weights, download_uri: 'https://files.example/m/weights'}")
    built.append("BUILD.yaml", "    mode: download\n    resources: {cpu: 0.5, memory: 3072Mi, gpu: 2}\n")
    built.env["FILES_TOKEN"] = SECRET
    return built


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["containers"]
    return dict(found)


# -- each platform ----------------------------------------------------------------------------------------------------


def test_kubernetes(built: Space) -> None:
    deployment, service = written(built, "kubernetes")["app.yaml"]
    for document in (deployment, service):
        fits(document, KINDS[document["kind"]])
    made = container(deployment["spec"]["template"]["spec"])
    assert made["image"] == f"{HUB}@{built.build().digest}"
    assert made["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    assert made["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 8080}
    assert made["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}
    assert "env" not in made and "imagePullSecrets" not in deployment["spec"]["template"]["spec"]
    pod = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod
    assert service["spec"]["ports"][0]["targetPort"] == "http"


def test_kubernetes_with_all_there_is(rich: Space) -> None:
    words = ("replicas=3", "namespace=models", "pull_secret=login")
    deployment, service = written(rich, "kubernetes", *(f"--set={word}" for word in words))["app.yaml"]
    for document in (deployment, service):
        fits(document, KINDS[document["kind"]])
        assert document["metadata"]["namespace"] == "models"
    made = container(deployment["spec"]["template"]["spec"])
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "login"}]
    assert made["resources"]["limits"] == {"memory": "3Gi", "nvidia.com/gpu": 2}
    assert made["resources"]["requests"] == {"cpu": "0.5", "memory": "3Gi"}
    reference = {"secretKeyRef": {"name": "model-files", "key": "FILES_TOKEN"}}
    assert made["env"] == [{"name": "FILES_TOKEN", "valueFrom": reference}]


def test_kserve(rich: Space) -> None:
    (service,) = written(rich, "kserve", "--set", "mode=Standard")["app.yaml"]
    fits(service, KINDS[service["kind"]])
    made = container(service["spec"]["predictor"])
    assert made["name"] == "kserve-container" and made["image"].startswith(f"{HUB}@sha256:")
    assert made["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    assert made["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "model-files"
    start = made["startupProbe"]
    assert (
        start["httpGet"] == made["livenessProbe"]["httpGet"]
        and start["periodSeconds"] * start["failureThreshold"] == 600
    )
    (service,) = written(rich, "kserve", "--set", "startup_tries=360")["app.yaml"]
    assert container(service["spec"]["predictor"])["startupProbe"]["failureThreshold"] == 360


def test_a_package_without_a_health_check_says_so(built: Space) -> None:
    words = ("deploy-files", APP, "--for", "compose", "--to", HUB, "-o", "made")
    assert "no health check" not in built.run(*words).out
    built.write("rules/bare.yaml", BARE)
    built.edit("BUILD.yaml", "base_env: :env", "base_env: :base")
    built.edit("BUILD.yaml", "//rules:tiny", "//rules:bare")
    built.run(*words)  # the base has a Python
    (service,) = yaml.safe_load(built.path("made/compose.yaml").read_text())["services"].values()
    assert service["healthcheck"]["test"][:2] == ["CMD", "python3"]
    make_base(built.path("base"), python="")
    built.run("lock", "//:base")
    no_python = "//:app has no health check: its image has no Python to ask with"
    built.run(*words).said(no_python)
    text = built.path("made/compose.yaml").read_text()
    assert f"# {no_python}" in text and "healthcheck" not in text
    assert "no health check" not in built.run(*words[:3], "kubernetes", *words[4:]).out
    built.edit("rules/bare.yaml", "readiness: 8080/", "scoring: 8080/")
    built.run(*words).said("//:app has no health check: it has no readiness route")


def test_azureml(rich: Space) -> None:
    found = written(rich, "azureml")
    (endpoint,), (deployment,) = found["app-endpoint.yml"], found["app-deployment.yml"]
    known(deployment, AZUREML["online"])
    assert endpoint["name"] == deployment["endpoint_name"] == "app"
    routes = deployment["environment"]["inference_config"]
    assert routes["scoring_route"] == {"path": "/score", "port": 8080}
    assert deployment["environment_variables"] == {
        "FILES_TOKEN": "${{azureml://connections/model_files/credentials/pat}}"
    }
    assert deployment["instance_type"] == "Standard_NC4as_T4_v3"  # as it is given GPUs
    assert written(rich, "azureml", "--set=instance_type=X")["app-deployment.yml"][0]["instance_type"] == "X"


def test_appservice(rich: Space) -> None:
    rich.edit("BUILD.yaml", ", gpu: 2", "")
    (template,) = written(rich, "appservice", "--set", "registry_identity=true")["app.json"]
    assert set(template) <= {"$schema", "contentVersion", "metadata", "parameters", "variables", "resources"}
    for resource in template["resources"]:
        fits(resource, KINDS[resource["type"]], apiVersion=0, dependsOn=0)  # those two are the template's own
    site = template["resources"][1]["properties"]["siteConfig"]
    assert site["linuxFxVersion"].startswith(f"DOCKER|{HUB}@sha256:") and site["acrUseManagedIdentityCreds"] is True
    assert {"name": "FILES_TOKEN", "value": "[parameters('FILES_TOKEN')]"} in site["appSettings"]
    assert template["parameters"] == {"FILES_TOKEN": {"type": "secureString"}}


def test_compose_joins_packages_and_parts_their_ports(rich: Space) -> None:
    rich.append("BUILD.yaml", TWIN)
    rich.append("BUILD.yaml", TWIN.replace("twin", "third").replace("}", ", ports: [8081]}"))
    (document,) = written(rich, "compose", patterns=("//:all",))["compose.yaml"]
    services = document["services"]
    ports = {name: [port.rpartition("}:")[2] for port in one["ports"]] for name, one in services.items()}
    assert ports == {"app": ["8080:8080/tcp"], "third": ["8082:8080/tcp", "8081:8081/tcp"], "twin": ["8083:8080/tcp"]}
    assert services["app"]["environment"] == {"FILES_TOKEN": "${FILES_TOKEN:?it is what the model is fetched with}"}
    assert services["app"]["mem_limit"] == "3072m" and services["app"]["cpus"] == "0.5"
    (device,) = services["app"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["count"] == 2
    assert "deploy" not in services["twin"] and "environment" not in services["twin"]
    assert services["twin"]["image"].startswith(f"{HUB}/twin@sha256:")
    said = rich.run("deploy-files", "//:all", "--for", "compose", "--to", HUB, "-o", str(rich.folder / "again"))
    said.said("port 8080 of //:twin is 8083 of the host: //:app has 8080")


def test_compose_puts_no_variables_into_values(built: Space) -> None:
    built.edit("rules/tiny.yaml", "readiness: 8080/healthz", "readiness: '8080/a$HOME/${{X}}'")
    (document,) = written(built, "compose")["compose.yaml"]
    service = document["services"]["app"]
    assert "8080/a$$HOME/$${X}'" in service["healthcheck"]["test"][-1]
    assert service["ports"] == ["${BIND:-127.0.0.1}:8080:8080/tcp"]
    built.write("rules/counter.yaml", JOB.replace("/var/in", "/var/$in"))
    built.edit("BUILD.yaml", "//rules:tiny", "//rules:counter")
    (document,) = written(built, "compose")["compose.yaml"]
    assert document["services"]["app"]["volumes"][0] == "./app/input:/var/$$in:ro"


# -- what holds for all -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["kubernetes", "kserve", "compose", "azureml", "appservice"])
def test_no_secret_is_written_or_said(rich: Space, platform: str) -> None:
    rich.edit("BUILD.yaml", ", gpu: 2", "")
    result = rich.run("deploy-files", APP, "--for", platform, "--to", HUB, "-o", "made", "-v")
    result.said("FILES_TOKEN", "next: buildrules push //:app --to " + HUB)
    texts = [path.read_text() for path in rich.path("made").iterdir()]
    assert texts and SECRET not in "".join([*texts, result.out, result.err])


def test_the_same_package_gives_the_same_files(built: Space) -> None:
    first = built.run("deploy-files", APP, "--for", "kubernetes", "--to", HUB, "-o", "-").out
    assert built.run("deploy-files", APP, "--for", "kubernetes", "--to", HUB, "-o", "-").out == first
    assert [document["kind"] for document in yaml.safe_load_all(first)] == ["Deployment", "Service"]
    built.append("src/score.py", "# edited\n")
    assert built.run("deploy-files", APP, "--for", "kubernetes", "--to", HUB, "-o", "-").out != first


def test_resources_are_a_label_and_nothing_else(built: Space) -> None:
    before = built.config(built.build().digest)
    assert "buildrules.resources" not in before["Labels"]
    built.append("BUILD.yaml", "    resources: {memory: 4Gi}\n")
    after = built.config(built.build().digest)
    assert after["Labels"].pop("buildrules.resources") == '{"memory":"4Gi"}'
    assert after == before
    built.edit("BUILD.yaml", "4Gi", "4GB")
    built.run("build", APP, code=2).said("'4GB' is no amount of memory", "512Mi", "BUILD.yaml:")


def test_processors_are_written_as_they_are_given(built: Space) -> None:
    before = "cpu: 1"
    built.append("BUILD.yaml", f"    resources: {{{before}}}\n")
    for said in ("1234.5678", "16.0", "0.0125", "4096"):
        built.edit("BUILD.yaml", before, before := f"cpu: {said}")
        made = container(written(built, "kubernetes")["app.yaml"][0]["spec"]["template"]["spec"])
        assert made["resources"]["requests"]["cpu"] == said.removesuffix(".0")
    for said in ("1e300", "4097"):
        built.edit("BUILD.yaml", before, before := f"cpu: {said}")
        built.run("build", APP, code=2).said("is too large", "4096")


def test_labels_that_say_what_the_image_holds_cannot_be_given(built: Space) -> None:
    for name in ("gpu", "resources", "of-nobody"):
        built.append("BUILD.yaml", f'    labels: {{"buildrules.{name}": "[1]"}}\n')
        built.run("build", APP, code=2).said(f"'buildrules.{name}' cannot be given", "`resources`", "BUILD.yaml:")
        built.edit("BUILD.yaml", f'    labels: {{"buildrules.{name}": "[1]"}}\n', "")
    built.edit("rules/tiny.yaml", "image:\n", "image:\n  labels: {buildrules.routes: text}\n")
    built.run("build", APP, code=2).said("'buildrules.routes' cannot be given")


def test_a_package_for_gpus_gets_one(built: Space) -> None:
    built.append("BUILD.yaml", "    gpu: true\n")
    (deployment, _) = written(built, "kubernetes", "--set", "gpu_resource=amd.com/gpu")["app.yaml"]
    made = container(deployment["spec"]["template"]["spec"])
    assert made["resources"]["limits"]["amd.com/gpu"] == 1
    built.append("BUILD.yaml", "    resources: {gpu: 0}\n")
    made = container(written(built, "kubernetes")["app.yaml"][0]["spec"]["template"]["spec"])
    assert made["resources"]["limits"] == {"memory": "2Gi"}


def test_a_large_model_gets_more_memory() -> None:
    assert [memory_for(size) for size in (0, 1 << 29, 1 << 30, 10 << 30)] == [2048, 2048, 3072, 21 * 1024]


def test_several_platforms_are_one_index(built: Space) -> None:
    make_base(built.path("base"), platforms=("linux/amd64", "linux/arm64"))
    built.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    built.run("lock")
    made = container(written(built, "kubernetes")["app.yaml"][0]["spec"]["template"]["spec"])
    assert made["image"] == f"{HUB}@{json.loads(built.run('show', APP, '--json').out)['index']['digest']}"


BARE = """\
rule: bare
provides: server
summary: Answers without Python.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/code}
image: {entrypoint: [/bin/serve]}
routes: {readiness: 8080/}
"""
JOB = """\
rule: counter
provides: server
summary: Works on files.
requires: {code: always, model: optional}
layout: {model: /srv/model, code: /srv/code}
image: {entrypoint: [/bin/count], cmd: [/var/in, /var/out]}
job: {input: /var/in, output: /var/out}
"""


def test_a_package_that_works_on_files(built: Space) -> None:
    built.write("rules/counter.yaml", JOB)
    built.edit("BUILD.yaml", "//rules:tiny", "//rules:counter")
    (job,) = written(built, "kubernetes")["app.yaml"]
    fits(job, KINDS["Job"])
    assert job["metadata"]["name"] == f"app-{built.build().digest[7:19]}"
    spec = job["spec"]["template"]["spec"]
    assert [one["mountPath"] for one in container(spec)["volumeMounts"]] == ["/var/in", "/var/out"]
    (document,) = written(built, "compose")["compose.yaml"]
    assert document["services"]["app"]["volumes"] == ["./app/input:/var/in:ro", "./app/output:/var/out"]
    for platform in ("kserve", "azureml", "appservice"):
        built.run("deploy-files", APP, "--for", platform, "--to", HUB, code=2).said("'//:app' works on files and ends")


def test_what_a_platform_cannot_have(rich: Space) -> None:
    rich.run("deploy-files", APP, "--for", "appservice", "--to", HUB, code=2).said("wants a GPU", "has no GPUs")
    rich.edit("rules/tiny.yaml", ", scoring: 8080/score", "")
    rich.run("deploy-files", APP, "--for", "azureml", "--to", HUB, code=2).said(
        "no scoring route", "scoring: PORT/PATH"
    )
    rich.edit("rules/tiny.yaml", "routes:", "# routes:")
    rich.edit("rules/tiny.yaml", "ports: [8080]", "ports: []")
    rich.run("deploy-files", APP, "--for", "kserve", "--to", HUB, code=2).said("it has no port", "`ports` or `routes`")
    assert not rich.path("deploy").exists()


def test_two_packages_of_one_name(built: Space) -> None:
    built.append("BUILD.yaml", TWIN.replace("twin", "App"))
    said = built.run("deploy-files", APP, "//:App", "--for", "kubernetes", "--to", "hub.example", code=2)
    said.said("would both be named 'app'", "one by one", "a folder (-o DIR) of its own")
    for platform, name in (("kubernetes", "app.yaml"), ("appservice", "app.json")):
        words = ("--for", platform, "--to", HUB, "-o", "made")
        for _ in range(2):
            built.run("deploy-files", APP, *words)
        before = built.path(f"made/{name}").read_bytes()
        built.run("deploy-files", "//:App", *words, code=2).said(f"'made/{name}' is there", "for //:app", "-o DIR")
        assert built.path(f"made/{name}").read_bytes() == before
        built.run("deploy-files", "//:App", *words[:-1], "other")


def test_a_file_of_several_packages_is_not_replaced_by_that_of_fewer_or_others(built: Space) -> None:
    built.append("BUILD.yaml", TWIN)
    words = ("deploy-files", "--for", "compose", "--to", HUB, "-o", "made")
    for _ in range(2):
        built.run(*words, APP, "//:twin")
    before = built.path("made/compose.yaml").read_bytes()
    said = built.run(*words, APP, code=2).said("'made/compose.yaml' is there, and was written for //:twin")
    said.said("name all packages that it is for", "-o DIR")
    assert built.path("made/compose.yaml").read_bytes() == before
    built.run(*words, APP, "//:twin")
    built.path("made/compose.yaml").unlink()
    said = built.run(*words, APP).said("--to is the whole repository, as one package is named")
    assert f"{APP} as {HUB}@" in said.out
    assert "whole repository" not in built.run(*words, APP, "//:twin").out


def test_names_fit(built: Space) -> None:
    long = "x" * 60
    built.append("BUILD.yaml", TWIN.replace("twin", f"9_{long}"))
    found = written(built, "azureml", patterns=(f"//:9_{long}",))
    name = found.popitem()[0].removesuffix("-endpoint.yml")
    assert len(name) == 32 and name.startswith("model-9-xxx")


def test_no_registry_is_an_error(built: Space) -> None:
    built.run("deploy-files", APP, "--for", "compose", code=2).said(
        "names no registry", "default_registry", "--to HOST/PATH"
    )
    built.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  default_registry: hub.example/models\n")
    result = built.run("deploy-files", APP, "--for", "compose", "-o", "-")
    assert 'image: "hub.example/models/acme/app@sha256:' in result.out


def test_a_file_of_somebody_else_is_kept(built: Space) -> None:
    words = ("deploy-files", APP, "--for", "compose", "--to", HUB, "-o", ".")
    for _ in range(2):
        built.run(*words)
    built.write("compose.yaml", "services: {mine: {}}\n")
    built.run(*words, code=2).said("'compose.yaml' is there", "-o DIR")
    assert built.path("compose.yaml").read_text() == "services: {mine: {}}\n"
    for platform, code in (("kubernetes", 0), ("kserve", 2), ("kubernetes", 0)):
        built.run(*words[:3], platform, *words[4:-1], "pods", code=code)
    built.run(*words[:3], "kserve", *words[4:-1], "pods", code=2).said(
        "'pods/app.yaml' was written for another platform, kubernetes", "-o DIR"
    )
    built.path("taken").touch()
    built.run(*words[:-1], "taken", code=2).said("cannot write 'taken/compose.yaml'")


def test_json_of_somebody_else_is_kept(built: Space) -> None:
    words = ("deploy-files", APP, "--for", "appservice", "--to", HUB, "-o", ".")
    for more in ((), ("--set", "instances=2")):
        built.run(*words, *more)
    assert '"capacity": 2' in built.path("app.json").read_text()
    built.write("app.json", '{"mine": {}}\n')
    built.run(*words, code=2).said("'app.json' is there", "-o DIR")
    assert built.path("app.json").read_text() == '{"mine": {}}\n'


def test_a_platform_of_json_says_who_wrote_it(built: Space) -> None:
    platform = 'platform: own\nrefuses: {job: "no"}\nattributes: {n: {type: integer, default: 1}}\n'
    text = platform + 'files:\n  "{name}.json": [{n: "{n}"}]\n'
    words = ("deploy-files", APP, "--for", "//rules/deploy:own", "--to", HUB, "-o", ".")
    built.write("rules/deploy/own.yaml", text)
    for _ in range(2):  # the same text may be written again
        built.run(*words)
    built.run(*words, "--set", "n=2", code=2).said("'app.json' is there", "made by buildrules deploy-files")
    built.path("app.json").unlink()
    built.write("rules/deploy/own.yaml", text.replace('"{n}"', '"{n}", by: made by buildrules deploy-files'))
    for number in (1, 2):
        built.run(*words, "--set", f"n={number}")
    assert json.loads(built.path("app.json").read_text())["n"] == 2


def test_packages_with_different_numbers_of_documents_share_a_file(rich: Space) -> None:
    rich.write(
        "rules/deploy/own.yaml",
        'platform: own\nrefuses: {job: "no"}\nfiles:\n  all.yaml:\n    - {each: secrets, secret: "{each.variable}"}\n'
        '    - packages: ["{label}"]\n    - {each: ports, port: "{each.number}"}\n    - gpu: ["{gpu.count}"]\n',
    )
    rich.append("BUILD.yaml", TWIN)
    for patterns in ((APP, "//:twin"), ("//:twin", APP)):
        (documents,) = written(rich, "//rules/deploy:own", patterns=patterns).values()
        assert {"packages": sorted(patterns)} in [{key: sorted(one[key]) for key in one} for one in documents[1:2]]
        assert [list(one) for one in documents] == [["secret"], ["packages"], ["port"], ["port"], ["gpu"]]
