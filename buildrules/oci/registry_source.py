"""A base image in a registry. Nobody is asked, and no HTTP client imported, before something is not in the store."""

from buildrules.errors import GoneError, RegistryError
from buildrules.net.session import Fetching
from buildrules.oci.descriptor import is_digest
from buildrules.oci.reference import Reference
from buildrules.oci.registries import Registries
from buildrules.oci.source import Source
from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from buildrules.oci.registry import Registry
    from buildrules.oci.transport import AnswerError


class RegistrySource(Source):
    """An image in a registry."""

    def __init__(self, reference: Reference, context: Fetching, *, plain_http: bool | None = None) -> None:
        super().__init__(reference, context)
        self._plain_http = plain_http

    @property
    def registry(self) -> "Registry":
        """The client for the image's repository. Raises CredentialsError."""
        return self.context.session.own(Registries).of(self.reference.host, self.reference.name, self._plain_http)

    def read_manifest(self, name: str | None) -> tuple[str, bytes]:
        """The manifest at a tag or digest. GoneError where a digest is no longer there, RegistryError otherwise."""
        from buildrules.oci.transport import AnswerError

        try:
            found = self.registry.manifest(name or "latest")
        except AnswerError as error:
            raise self._gone(error, name or "latest") from error
        return found.media_type, found.data

    def fetch(self, digest: str, size: int | None = None) -> None:
        """As in Source. What arrives of a layer is kept for the next try."""
        from buildrules.oci.transport import AnswerError

        try:
            self.registry.fetch(digest, size, self.context, f"fetching {digest[7:19]} of a base image")
        except AnswerError as error:
            raise self._gone(error, digest) from error

    def _gone(self, error: "AnswerError", name: str) -> Exception:
        if error.status != 404:
            return error
        if is_digest(name):
            return GoneError(
                f"{self.reference} no longer has {name}: {error.message}",
                hint="run 'buildrules lock' to pin what the tag names now, or restore the image",
            )
        return RegistryError(f"there is no image {self.reference}: {error.message}", hint="check its name and tag")
