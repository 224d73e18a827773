"""What images share: the bytes that a registry keeps of them, and how near that is to a layer for each wheel."""

from collections.abc import Iterable, Mapping

from buildrules.typed import NamedTuple


class Held(NamedTuple):
    """A layer of an image. `wheels` are the bytes of the wheels in it by sha256, empty where it holds none."""

    digest: str
    size: int
    title: str
    wheels: Mapping[str, int]


class Used(NamedTuple):
    """A layer, and the images that have it."""

    layer: Held
    images: list[str]


class SharedLayers:
    """Layers by their digests, each once, with the images that have them. Sizes are in bytes."""

    def __init__(self, images: Mapping[str, Iterable[Held]]) -> None:
        """`images` are layers by the name of their image."""
        self.images = len(images)
        self._used: dict[str, Used] = {}
        for name, layers in images.items():
            for layer in layers:
                found = self._used.setdefault(layer.digest, Used(layer, []))
                if name not in found.images:
                    found.images.append(name)

    @property
    def rows(self) -> list[Used]:
        """The layers, those first that spare most bytes, then the largest."""
        return sorted(
            self._used.values(),
            key=lambda used: (-used.layer.size * (len(used.images) - 1), -used.layer.size, used.layer.digest),
        )

    @property
    def stored(self) -> int:
        """Bytes that a registry keeps: each layer once."""
        return sum(used.layer.size for used in self._used.values())

    @property
    def unshared(self) -> int:
        """Bytes of all images, as if none shared a layer with another."""
        return sum(used.layer.size * len(used.images) for used in self._used.values())

    @property
    def apart(self) -> int:
        """Bytes that would be kept with a layer for each wheel. Of a layer with several wheels each has the share that
        it has in their files; where that differs between layers, the smallest.
        """
        other, wheels = 0, dict[str, float]()
        for used in self._used.values():
            whole = sum(used.layer.wheels.values())
            if not whole:
                other += used.layer.size
            for sha256, size in used.layer.wheels.items() if whole else ():
                share = used.layer.size * size / whole
                wheels[sha256] = min(share, wheels.get(sha256, share))
        return round(other + sum(wheels.values()))

    @property
    def ratio(self) -> float:
        """How many times as much is kept as with a layer for each wheel."""
        return self.stored / self.apart if self.apart else 1.0
