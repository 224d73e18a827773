"""The C library of an image of others, looked up in its layers: interpreters need glibc, and wheels its version."""

import re
from collections.abc import Mapping
from typing import Any

from buildrules.engine.kind import Context
from buildrules.errors import ResolutionError
from buildrules.oci.descriptor import Layer
from buildrules.oci.foreign import first_of, foreign_layers
from buildrules.oci.unpacked import layer_unpacked
from buildrules.oci.untar import entries

OLDEST = (2, 17)
"""What python-build-standalone needs."""

_GLIBC = re.compile(r"(?:\./)?(?:usr/)?lib(?:64)?/(?:[^/]+-linux-gnu/)?libc(?:\.so\.6|-2\.\d+\.so)")
_MUSL = re.compile(r"(?:\./)?(?:usr/)?lib/ld-musl-[^/]*\.so\.1")
_SAYS = re.compile(rb"GNU C Library [^\n]{0,80}release version (2\.\d{1,3})\b")
_LARGEST = 64 << 20  # bytes of a library that are read


def glibc_of(name: str, platform: str, places: Mapping[str, Any], context: Context) -> str:
    """The glibc of an image of others, like "2.36", from the first of its layers that has one, else "".

    `name` is the base's for people, `places` are those of the action "oci_base". Layers are fetched as far as it takes.
    Raises ResolutionError for musl and a glibc that is too old, and what fetching raises.
    """
    digest = str(places["digest"])
    image = first_of(places, context, digest, lambda source: source.resolve(platform))
    for layer in foreign_layers(image.manifest, image.config, name):
        first_of(places, context, digest, lambda source, one=layer: source.fetch(one.digest, one.size))  # type: ignore[misc]
        found = _in(layer, context)
        if found == "musl":
            raise ResolutionError(
                f"the base {name} has musl for its C library, and the Pythons there are need glibc",
                hint="take an image of Debian, Ubuntu or the like; or leave `base` out",
            )
        if found is not None:
            if tuple(map(int, found.split("."))) < OLDEST:
                raise ResolutionError(f"the base {name} has glibc {found}, and 2.17 is the oldest that will do")
            return found
    return ""


def _in(layer: Layer, context: Context) -> str | None:
    """The version of the glibc in a layer, "musl", or None. A layer that cannot be read has none: others say so."""
    with context.blobs.open(layer.digest) as file:
        stream, damage = layer_unpacked(layer, file)
        unsound: tuple[type[Exception], ...] = (*damage, OSError)
        try:
            for member, content in entries(stream):
                if _MUSL.fullmatch(member.name):
                    return "musl"
                if content is not None and _GLIBC.fullmatch(member.name):
                    said = _SAYS.search(content.read(_LARGEST))
                    if said is not None:
                        return said[1].decode()
        except unsound:
            return None
    return None
