"""What a repository has already of a shipment."""

from buildrules.errors import BuildrulesError
from buildrules.oci.push.shipment import PushBlob, Shipment, named_blobs, named_manifests
from buildrules.oci.registry import Manifest
from buildrules.oci.transport import AnswerError

SMALL = 64 << 10
"""Bytes up to which a blob that is probably missing is sent without a question."""


class Standing:
    """A shipment, and what its repository has: made by `look`, kept up while things move."""

    def __init__(self, shipment: Shipment) -> None:
        self.shipment = shipment
        self.before: dict[str, str | None] = {}  # tag -> digest of what it names now
        self.manifests: set[str] = set()  # digests of the shipment's that are there
        self.blobs: set[str] = set()  # digests that are there: of the shipment, and of what the tags name
        self.guessed = True  # nothing is known of what is there

    def __str__(self) -> str:
        return str(self.shipment.registry)

    @property
    def tags(self) -> list[str]:
        """Those that have to move."""
        root = self.shipment.root.digest
        return [tag for tag in self.shipment.tags if self.before.get(tag) != root]

    @property
    def settled(self) -> bool:
        """Whether there is nothing to do."""
        return self.shipment.root.digest in self.manifests and not self.tags

    @property
    def lacking(self) -> list[PushBlob]:
        """The blobs that are not known to be there."""
        return [blob for blob in self.shipment.blobs if blob.digest not in self.blobs]

    def have(self, digest: str) -> None:
        """The manifest with that digest is there, and so is all it names."""
        for manifest in self.shipment.manifests:
            if manifest.digest == digest:
                self.manifests.add(digest)
                self.blobs |= named_blobs(manifest.data)
                for entry in named_manifests(manifest.data):
                    self.have(entry["digest"])


def look(shipment: Shipment) -> Standing:
    """Ask for what the tags name, and for the manifest: one or two requests where all is there. Raises RegistryError.

    Where a tag names another image, that one's blobs are there without a question: after an edit nearly all.
    """
    standing, registry, root = Standing(shipment), shipment.registry, shipment.root.digest
    for tag in shipment.tags:
        if not standing.guessed or root in standing.before.values():
            standing.before[tag] = registry.manifest_digest(tag)
            continue
        found = _manifest(shipment, tag)
        standing.before[tag] = found.digest if found else None
        if found and found.digest != root:
            _learn(standing, found)
    if root in standing.before.values():
        standing.have(root)
        return standing
    likely = standing.guessed or any(blob.size > SMALL for blob in standing.lacking)
    if likely and registry.manifest_digest(root) is not None:
        standing.have(root)
    return standing


def _learn(standing: Standing, found: Manifest) -> None:
    """Take what another image in the repository consists of: of an index the images for the same platforms, and all of
    them where what is pushed is one image, whose manifest does not say which it is for.
    """
    standing.guessed = False
    try:
        standing.blobs |= named_blobs(found.data)
        root = standing.shipment.root
        wanted = {entry["digest"]: entry.get("platform") for entry in named_manifests(root.data)} or {root.digest: None}
        old = named_manifests(found.data)
        there = {entry["digest"] for entry in old}
        for digest in wanted.keys() & there:
            standing.have(digest)
        changed = [platform for digest, platform in wanted.items() if digest not in there]
        for entry in old:
            if (None in changed or entry.get("platform") in changed) and entry["digest"] not in wanted:
                image = _manifest(standing.shipment, entry["digest"])
                standing.blobs |= named_blobs(image.data) if image else set()
    except BuildrulesError:
        standing.guessed = True  # of another kind than ours: every blob is asked for


def _manifest(shipment: Shipment, reference: str) -> Manifest | None:
    try:
        return shipment.registry.manifest(reference)
    except AnswerError as error:
        if error.status == 404:
            return None
        raise
