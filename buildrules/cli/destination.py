"""Where in a registry packages go: what `push` sends there, and what manifests name."""

from buildrules.cli.request import Request
from buildrules.engine.result import GoalResult
from buildrules.errors import UsageError
from buildrules.oci.reference import REGISTRY, Reference, parse_reference
from buildrules.workspace.labels import parse_label, parse_patterns


def destination(request: Request, result: GoalResult) -> Reference:
    """The repository that a package goes to, and a tag where the command line names one with it. Raises UsageError."""
    to, registry, info = request.option("to"), result.goal.info["registry"], result.goal.info
    if to is None:
        try:
            found = parse_reference(str(info["name"]), registry)
        except UsageError as error:
            if registry is None and error.hint:
                error.hint += "; '--to HOST/PATH' says it for one command"
            raise
    elif whole(request):
        found = parse_reference(str(to), registry)
    else:
        host, _, repository = str(to).rstrip("/").partition("/")
        if ":" in repository or "@" in repository:
            raise UsageError(f"'{to}' names one image, and several packages go there", hint="use --tag")
        label = parse_label(result.goal.label)
        parts = [part.strip("._-").lower() for part in (*label.package.split("/"), label.name)]
        path = "/".join([str(to).rstrip("/"), *filter(None, parts)])
        bare = not repository and ("." in host or ":" in host or host == "localhost")  # a registry, and no path
        found = parse_reference(path, None if bare else registry)
    if found.transport != REGISTRY:
        raise UsageError(f"'{found}' is no registry", hint="'buildrules export' and 'buildrules load' write elsewhere")
    return found


def whole(request: Request) -> bool:
    """Whether `--to` is the repository itself: the patterns name one target, whatever else there may be some day."""
    to, patterns = request.option("to"), list(request.patterns)
    one = len(patterns) == 1 and all(found.label is not None for found in parse_patterns(patterns, "").includes)
    return to is not None and one
