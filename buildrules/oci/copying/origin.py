"""Where images are copied from: a registry, the directory of an image layout, or an archive of one."""

import os
from collections.abc import Iterator

from buildrules.document.plain_json import MOST
from buildrules.errors import IntegrityError, UsageError
from buildrules.net.session import Session
from buildrules.oci.archive import blob_path
from buildrules.oci.archive_file import ArchiveFile
from buildrules.oci.copying.graph import read_graph
from buildrules.oci.copying.parcel import ImageParcel
from buildrules.oci.copying.resumed import read_blob
from buildrules.oci.descriptor import is_digest
from buildrules.oci.layout import REF_NAME, parse_entries
from buildrules.oci.reference import ARCHIVE, DAEMON, LAYOUT, Reference
from buildrules.oci.registries import Registries
from buildrules.oci.source import check_platform, is_named
from buildrules.oci.transport import AnswerError
from buildrules.state.rows import open_regular
from buildrules.store.blobs import CHUNK


def open_origin(reference: Reference, session: Session) -> "Origin":
    """The place that `reference` names. Raises UsageError, CredentialsError, IntegrityError."""
    if reference.transport == DAEMON:
        hint = "'buildrules load' and 'docker push' are for those; 'docker save' writes an archive of this kind"
        raise UsageError(f"'{reference}': images of a Docker Engine are not copied", hint=hint)
    if reference.transport == LAYOUT:
        return LayoutOrigin(_Folder(reference.name), reference)
    if reference.transport == ARCHIVE:
        return LayoutOrigin(ArchiveFile(reference.name), reference)
    return RegistryOrigin(reference, session)


def read_parcel(origin: "Origin", reference: Reference, name: str, platform: str | None = None) -> ImageParcel:
    """The image at an origin as a parcel called `name`; no layer is read yet.

    Raises what `read_graph` raises, and UsageError where `platform` is not that of the image.
    """
    chosen = reference.digest or reference.tag or ""
    graph = read_graph(chosen, origin.manifest, str(reference), platform=platform)
    parcel = ImageParcel(name, graph, origin.stream, str(reference))
    if platform:
        check_platform(config_of(parcel), platform, str(reference))
    return parcel


def config_of(parcel: ImageParcel) -> bytes:
    """What an image says of itself. Raises UsageError where it says too much or nothing, IntegrityError."""
    digest, size = next(iter(parcel.graph.blobs.items()), ("", 0))  # a manifest names it before its layers
    if not 0 < size <= MOST:
        raise UsageError(f"{parcel.place} has a config of {size} bytes, which is none")
    return b"".join(parcel.blob(digest).open())


class RegistryOrigin:
    """An image in a registry. Like an origin of another kind, it is to be closed."""

    def __init__(self, reference: Reference, session: Session) -> None:
        self._reference = reference
        self._registry = session.own(Registries).of(reference.host, reference.name)

    def manifest(self, name: str) -> tuple[str, bytes]:
        """Media type ("" where nobody says) and bytes of the manifest or index at a digest, or at the image's name.

        Raises RegistryError.
        """
        try:
            found = self._registry.manifest(name)
        except AnswerError as error:
            if error.status != 404:
                raise
            error.message = f"there is no image {self._reference}: {error.message}"
            error.hint = "check its name and tag"
            raise
        return found.media_type, found.data

    def stream(self, digest: str, size: int) -> Iterator[bytes]:
        """What claims to be a blob. Raises RegistryError."""
        return read_blob(self._registry, digest, size)

    def close(self) -> None:
        """Nothing to do: connections are the session's."""


class LayoutOrigin:
    """An image in a layout, whatever its files are in."""

    def __init__(self, files: "ArchiveFile | _Folder", reference: Reference) -> None:
        self._files = files
        self._reference = reference

    def manifest(self, name: str) -> tuple[str, bytes]:
        """As of a registry; "" is the only image there is. Raises UsageError, IntegrityError."""
        if is_digest(name):
            return "", self._files.read(blob_path(name))
        entries = parse_entries(self._files.read("index.json"), self._reference.name)
        labels = [entry.get("annotations") or {} for entry in entries]
        found = [entry for entry, label in zip(entries, labels, strict=True) if not name or is_named(name, label)]
        if len({entry["digest"] for entry in found}) != 1:
            known = sorted({str(label.get(REF_NAME)) for label in labels if label.get(REF_NAME)})
            what = f"{len(found)} images" if found else "no image"
            raise UsageError(
                f"{self._files.place} has {what}" + (f" named {name!r}" if name else ""),
                hint=f"name one, by ':NAME': {', '.join(known)}" if known else "name one, by '@sha256:…'",
            )
        digest = found[0]["digest"]
        if not is_digest(digest):
            raise IntegrityError(f"{self._files.place} has an image without a sha256 digest: {digest!r:.80}")
        return str(found[0].get("mediaType") or ""), self._files.read(blob_path(digest))

    def stream(self, digest: str, size: int) -> Iterator[bytes]:
        """What claims to be a blob. Raises UsageError, IntegrityError."""
        return self._files.stream(blob_path(digest))

    def close(self) -> None:
        """Close the archive, if it is one."""
        self._files.close()


class _Folder:
    """The files of a layout that is a directory."""

    def __init__(self, directory: str) -> None:
        self.place = f"layout {directory!r}"
        self._directory = directory

    def read(self, name: str) -> bytes:
        """A file of at most MOST bytes. Raises UsageError, IntegrityError."""
        data = b""
        for chunk in self.stream(name):
            data += chunk
            if len(data) > MOST:
                raise IntegrityError(f"file {name!r} of {self.place} is too large")
        return data

    def stream(self, name: str) -> Iterator[bytes]:
        """A file in chunks. Raises UsageError."""
        try:
            with open(open_regular(os.path.join(self._directory, name)), "rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot read {name!r} of {self.place}: {reason}") from error

    def close(self) -> None:
        """Nothing is open."""


Origin = RegistryOrigin | LayoutOrigin
