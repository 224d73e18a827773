"""Action "build_wheel": a source archive or a project folder becomes a wheel, by its own build back end.

    params  `BuildWheelParams`
    sources for a folder: one SourceSet of it
    places   as for "wheel_layer"; "asked": the source archive itself was asked for, by url or path
    outputs blobs {"wheel": digest}, values {"filename", "name", "version", "size"}

The back end runs on this host, so native code can only be built where host and image agree; that is checked, not hoped.
The wheel is written anew (`normalise`), so that two builds of one source give the same bytes on one
machine. Its compilers, and the versions of the back end that an index has today, are not in the key.
"""

from buildrules.actions.params import BuildWheelParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step


class BuildWheel:
    """See the module's documentation."""

    name = "build_wheel"
    version = 1
    traits = Traits(network=True, host=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """One wheel in the store. Raises ActionError with the back end's log, FetchError, GoneError, IntegrityError."""
        import os
        import tempfile

        from buildrules.actions.python.building import build, check_fits, prepare
        from buildrules.actions.python.normalise import normalise
        from buildrules.actions.python.target import Target

        params = read(BuildWheelParams, step.params)
        target = Target.from_dict(dict(params.target))
        if params.sdist and not step.places.get("asked"):
            context.warn(
                f"{params.name} {params.version} has no wheel for Python {target.python_minor}"
                f" on {target.platform}; building it from source"
            )
        with tempfile.TemporaryDirectory(prefix="buildrules-") as folder:
            source = prepare(params, step, context, folder)
            built = build(params, step.places, source, target, context, folder)
            filename = os.path.basename(built)
            check_fits(built, params.name, target)
            data = normalise(built)
        digest = context.blobs.put(data)
        values = {
            "filename": filename,
            "name": params.name,
            "version": filename.split("-")[1],
            "size": len(data),
        }
        return Outputs(values=values, blobs={"wheel": digest})
