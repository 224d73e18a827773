"""Action "build_wheel": a source archive or a project folder becomes a wheel, by its own build back end.

    params  `BuildWheelParams`
    sources for a folder: one SourceSet of it
    places   as for "wheel_layer"; "asked": the source archive itself was asked for, by url or path
    outputs blobs {"wheel": digest}, values {"filename", "name", "version", "size"}

The back end runs on this host, so native code can only be built where host and image agree; that is checked, not hoped.
The wheel is written anew (`normalise`), so that two builds of one source give the same bytes on one
machine. Its compilers, and the versions of the back end that an index has today, are not in the key.
"""

from buildrules.actions.made import BuiltWheelMade
from buildrules.actions.params import BuildWheelParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step


def _content(step: Step) -> list[Row]:
    sdist = read(BuildWheelParams, step.params).sdist
    return [{**sdist, "kind": "sdist", "digest": f"sha256:{sdist['sha256']}"}] if sdist else []


class BuildWheel:
    """See the module's documentation."""

    name = "build_wheel"
    version = 1
    traits = Traits(network=True, shareable=False, content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """One wheel in the store. Raises ActionError with the back end's log, FetchError, GoneError, IntegrityError."""
        import os

        from buildrules.actions.python.building import build, check_fits, check_version, prepare
        from buildrules.actions.python.normalise import normalise
        from buildrules.actions.python.target import Target
        from buildrules.store.private_folder import private_folder

        params = read(BuildWheelParams, step.params)
        target = Target.from_dict(dict(params.target))
        if params.sdist and not step.places.get("asked"):
            context.warn(
                f"{params.name} {params.version} has no wheel for Python {target.python_minor}"
                f" on {target.platform}; building it from source"
            )
        with private_folder(context.blobs.tmp) as folder:
            source = prepare(params, step, context, folder)
            built = build(params, step.places, source, target, context, folder)
            filename = os.path.basename(built)
            check_fits(built, params.name, target)
            if params.sdist is None:
                check_version(built, params)
            data = normalise(built)
        digest = context.blobs.put(data)
        made = BuiltWheelMade(filename, params.name, filename.split("-")[1], len(data))
        return Outputs(values=made._asdict(), blobs={"wheel": digest})
