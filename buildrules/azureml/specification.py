"""What packages and deployments have in common: a model, an environment, a server, code, inputs."""

from dataclasses import dataclass, field

from buildrules.azureml.document import Document
from buildrules.azureml.fields import Section, camel
from buildrules.azureml.references import Place, Reference, parse_reference
from buildrules.document.nodes import Node

__all__ = ["Code", "Input", "Named", "Routes", "Specification", "read_code", "read_named", "read_routes"]


@dataclass(slots=True)
class Named:
    """A reference to something that has a file of its own, or that thing written in place (`inline`)."""

    node: Node
    reference: Reference | None = None
    inline: Node | None = None


@dataclass(slots=True)
class Code:
    """`code_configuration`: the folder as it is written, and the script in it."""

    node: Node
    folder: str | None
    folder_node: Node
    script: str | None
    script_node: Node


@dataclass(slots=True)
class Routes:
    """Where a server answers: name (liveness, readiness, scoring) to port and path."""

    node: Node
    routes: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Input:
    """An extra input of a package: a file or folder. `mode` is copy or download, `said` the word of the file."""

    node: Node
    source: Named
    folder: bool
    mode: str | None
    said: str | None
    mount_path: str | None


@dataclass(slots=True)
class Specification:
    """One image to be. `server` is azureml_online, azureml_batch, triton or custom.

    `comments` say what was not carried over, and why. `target_environment` is (name, version or None).
    """

    document: Document
    name: str
    name_node: Node
    server: str = "azureml_online"
    target_environment: tuple[str, str | None] | None = None
    environment: Named | None = None
    environment_unsound: bool = False
    model: Named | None = None
    code: Code | None = None
    routes: Routes | None = None
    entry_script: str | None = None
    entry_node: Node | None = None
    mode: str | None = None
    mode_node: Node | None = None
    mount_path: str | None = None
    mount_node: Node | None = None
    inputs: list[Input] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    server_attributes: dict[str, bool | int | str] = field(default_factory=dict)
    deployment: bool = False
    comments: list[str] = field(default_factory=list)


def read_named(section: Section, name: str) -> Named | None:
    """An attribute that holds a reference or a map."""
    node = section.node(name)
    if node is None:
        return None
    if node.kind == "map":
        reference = _rest_reference(node)
        return Named(node, inline=node) if reference is None else Named(node, reference)
    text = section.text(name)
    return None if text is None else Named(node, parse_reference(text, short=True))


def _rest_reference(node: Node) -> Reference | None:
    """What REST writes for a reference: `{referenceType: Id, assetId}`, `{referenceType: DataPath, datastoreId, path}`,
    `{referenceType: OutputPath, jobId, path}` (AssetReferenceBase).
    """
    texts = {camel(key): value.text for key, value in node.entries.items() if value.kind == "scalar"}
    if "assetId" in texts:
        return parse_reference(texts["assetId"], short=True)
    if "referenceType" in texts and ("datastoreId" in texts or "jobId" in texts):
        return Reference(texts.get("path") or texts["referenceType"], Place.STORE)
    return None


def read_code(section: Section, name: str = "code_configuration") -> Code | None:
    """`code_configuration`, in both spellings (`code`, `codeId`); `entry_script` is the documentation's older key."""
    aliases = {"codeId": "code", "code_id": "code", "entry_script": "scoring_script", "entryScript": "scoring_script"}
    inner = section.section(name, ("code", "scoring_script"), aliases)
    if inner is None:
        return None
    folder, script = inner.text("code"), inner.text("scoring_script")
    if folder is None and "code" not in inner:
        inner.missing("code", "the folder of the scoring script")
    if script is None and "scoring_script" not in inner:
        inner.missing("scoring_script", "the file with init() and run(), relative to the code's folder")
    return Code(
        section.key(name),
        folder,
        inner.node("code") or inner.given,
        script,
        inner.node("scoring_script") or inner.given,
    )


ROUTES = ("liveness_route", "readiness_route", "scoring_route")


def read_routes(section: Section) -> dict[str, tuple[int, str]]:
    """`liveness_route`, `readiness_route`, `scoring_route`: each `{port, path}`."""
    found = {}
    for name in ROUTES:
        route = section.section(name, ("path", "port"))
        if route is None:
            continue
        path = route.text("path", required=True, hint="the path of the address, such as /v1/models/m")
        port = route.integer("port", minimum=1, maximum=65535)
        if port is None and "port" not in route:
            route.missing("port", "the port the server listens on")
        if path is not None and (any(char.isspace() or char < " " for char in path)):
            route.problems.add_error(
                (route.node("path") or route.given).error(f"'{path}' is not the path of an address")
            )
        elif path is not None and port is not None:
            found[name.removesuffix("_route")] = (port, path if path.startswith("/") else f"/{path}")
    return found
