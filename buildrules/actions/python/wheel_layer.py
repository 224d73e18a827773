"""Action "wheel_layer": wheels become one layer, straight from the archives.

    params  `WheelParams`
    deps    actions "build_wheel", each giving one wheel more
    places   what `Lock.places` gives: {"urls": {filename: [url, ...]}, "index": {...}}

The layer's bytes are not kept: its recipe makes them again from the wheels. Values: `modules`, what can be imported.
"""

from buildrules.actions.made import WheelMade
from buildrules.actions.params import WheelParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, GoneError, IntegrityError


def _content(step: Step) -> list[Row]:
    wheels = read(WheelParams, step.params).wheels
    return [{"kind": "wheel", "filename": filename, "digest": f"sha256:{sha256}"} for filename, sha256 in wheels]


class WheelLayer:
    """See the module's documentation."""

    name = "wheel_layer"
    version = 2
    traits = Traits(content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """One layer. Raises IntegrityError naming the wheel that is corrupt, GoneError, ActionError."""
        from buildrules.actions.pack import progress_of
        from buildrules.actions.python.fetch import require_intact
        from buildrules.oci import recipe
        from buildrules.oci.assemble import assemble
        from buildrules.oci.local import Local

        wheels, prefix, python = read(WheelParams, step.params)
        entries = [(filename, f"sha256:{sha256}") for filename, sha256 in wheels]
        for outputs in step.outputs:
            built = (str(outputs.values["filename"]), outputs.blobs["wheel"])
            require_intact(context.blobs, built[1], built[0])
            entries.append(built)
        if not entries:
            raise ActionError(f"{step.title!r} has no wheels")
        entries.sort()
        parts = [recipe.wheel(digest, filename, prefix, python) for filename, digest in entries]
        try:
            layer = assemble(recipe.gzip(parts, 0), Local(context.blobs), progress_of(context, step.title))
        except FileNotFoundError as error:
            raise GoneError(f"a wheel of {step.title!r} vanished from the store", hint="build again") from error
        except IntegrityError as error:
            error.hint = error.hint or "the wheel is broken: choose another version, or tell its authors"
            raise
        return Outputs(layers=[layer], values=WheelMade(_modules(entries, context))._asdict())


def _modules(entries: list[tuple[str, str]], context: Context) -> list[str]:
    """What the wheels (file name, digest) bring."""
    from buildrules.actions.python.modules import modules_of
    from buildrules.oci.parts.archive import members

    found: set[str] = set()
    for filename, digest in entries:
        found.update(modules_of(member.name for member in members(context.blobs.checked(digest), filename)))
    return sorted(found)
