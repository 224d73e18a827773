"""Action "build_wheel": a source archive or a project folder becomes a wheel, by its own build back end.

    params  {"name", "version", "target": {"platform", "python", "glibc"}, and
             for an archive "sdist": {"name", "version", "filename", "sha256", "size"},
             optionally "constraints": [requirement, ...] for the build back end and its dependencies,
             "builder": the Python of this host that runs the back end, such as "CPython 3.11.2"}
    sources for a folder: one SourceSet of it
    places   as for "wheel_layer"; "asked": the source archive itself was asked for, by url or path
    outputs blobs {"wheel": digest}, values {"filename", "name", "version", "size"}

The back end runs on this host, so native code can only be built where host and image agree; that is checked, not hoped.
The wheel is written anew (`normalise`), so that two builds of one source give the same bytes on one
machine. Its compilers, and the versions of the back end that an index has today, are not in the key.
"""

from buildrules.engine.action import Action, Context, Outputs, SourceFile


class BuildWheel:
    """See the module's documentation."""

    name = "build_wheel"
    version = 1

    def run(self, action: Action, sources: list[list[SourceFile]], deps: list[Outputs], context: Context) -> Outputs:
        """One wheel in the store. Raises ActionError with the back end's log, FetchError, GoneError, IntegrityError."""
        import os
        import tempfile

        from buildrules.actions.python.building import build, check_fits, prepare
        from buildrules.actions.python.normalise import normalise
        from buildrules.actions.python.target import Target

        target = Target.from_dict(action.params["target"])
        if action.params.get("sdist") and not action.places.get("asked"):
            context.warn(
                f"{action.params['name']} {action.params['version']} has no wheel for Python {target.python_minor}"
                f" on {target.platform}; building it from source"
            )
        with tempfile.TemporaryDirectory(prefix="buildrules-") as folder:
            source = prepare(action, sources, context, folder)
            built = build(action, source, target, context, folder)
            filename = os.path.basename(built)
            check_fits(built, action.params["name"], target)
            data = normalise(built)
        digest = context.blobs.put(data)
        values = {
            "filename": filename,
            "name": action.params["name"],
            "version": filename.split("-")[1],
            "size": len(data),
        }
        return Outputs(values=values, blobs={"wheel": digest})
