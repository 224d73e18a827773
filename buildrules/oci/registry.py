"""A client of the OCI distribution specification 1.1: manifests, blobs, uploads, mounts.

Section numbers below are those of its "Endpoints" table. Digests are `sha256:<hex>` throughout; whatever
is read is checked against the digest it was asked by.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from buildrules.document.plain_json import read_json
from buildrules.errors import FetchError, IntegrityError, RegistryError
from buildrules.net.client import Client
from buildrules.net.download import bring, error_of
from buildrules.net.session import Fetching
from buildrules.oci import descriptor as media
from buildrules.oci.auth import ANONYMOUS, Credentials
from buildrules.oci.transport import AnswerError, Body, Transport
from buildrules.sha256 import digest_of
from buildrules.start.failure import Failure
from buildrules.start.header import content_length, content_range
from buildrules.store.blobs import hex_of

_NEXT = re.compile(r"""<([^>]*)>\s*;\s*rel="?next\b""")  # RFC 8288
ACCEPT = ", ".join((media.MANIFEST, media.INDEX, media.DOCKER_MANIFEST, media.DOCKER_MANIFEST_LIST))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index as the registry holds it: its exact bytes, their digest and media type."""

    digest: str
    media_type: str
    data: bytes


class Registry:
    """One repository of one registry. Safe for concurrent threads."""

    def __init__(
        self,
        host: str,
        repository: str,
        credentials: Credentials = ANONYMOUS,
        *,
        plain_http: bool | None = None,
        sleep: Callable[[float], None] = time.sleep,
        client: Client | None = None,
        transport: Transport | None = None,
    ) -> None:
        """`plain_http`: None means http on loopback and https elsewhere, True http, False https only.

        `transport` is that of another repository of the registry, for the same credentials: it knows how to log in.
        """
        self.repository = repository
        self.transport = transport or Transport(host, credentials, plain_http=plain_http, sleep=sleep, client=client)
        self._pull = (f"repository:{repository}:pull",)
        self._push = (f"repository:{repository}:pull,push",)
        self._delete = (f"repository:{repository}:pull,push,delete",)

    def __str__(self) -> str:
        return f"{self.transport.host}/{self.repository}"

    def manifest(self, reference: str) -> Manifest:
        """end-3: the manifest or index at a tag or digest.

        Raises AnswerError (status 404 where there is none), RegistryError, and IntegrityError where the
        bytes do not have the digest asked for or announced.
        """
        response = self.transport.request(
            "GET", self._url("manifests", reference), scopes=self._pull, headers={"Accept": ACCEPT}
        )
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        announced = response.headers.get("Docker-Content-Digest", "")
        data = self.transport.read(response)
        digest = digest_of(data)
        expected = reference if media.is_digest(reference) else announced
        if expected.startswith("sha256:") and digest != expected:
            raise IntegrityError(f"registry {self} sent {digest} instead of {expected} ({reference!r})")
        return Manifest(digest, media_type, data)

    def manifest_digest(self, reference: str) -> str | None:
        """end-3 HEAD: the digest of the manifest at a tag or digest, None where there is none. Raises RegistryError."""
        url = self._url("manifests", reference)
        response = self.transport.request("HEAD", url, scopes=self._pull, headers={"Accept": ACCEPT}, ok=(200, 404))
        response.close()
        if response.status == 404:
            return None
        announced = response.headers.get("Docker-Content-Digest", "")
        return announced if media.is_digest(announced) else self.manifest(reference).digest

    def blob_size(self, digest: str) -> int | None:
        """end-2 HEAD: the size of a blob in bytes, or None where this repository does not have it."""
        url = self._url("blobs", digest)
        response = self.transport.request("HEAD", url, scopes=self._pull, ok=(200, 404))
        response.close()
        return content_length(response.headers) or 0 if response.status == 200 else None

    def read(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """end-2: what claims to be a blob, from the byte `offset` on, in one try. Raises AnswerError, RegistryError."""
        extra = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.transport.request(
            "GET", self._url("blobs", digest), scopes=self._pull, headers=extra, ok=(200, 206, 416), tries=1
        )
        skip = offset if response.status == 200 else 0
        if response.status == 416 or (
            response.status == 206 and (content_range(response.headers) or (-1,))[0] != offset
        ):
            response.close()
            raise AnswerError(f"registry {self} has no bytes of {digest} from {offset} on", status=416)
        for chunk in self.transport.chunks(response):
            if len(chunk) > skip:
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def tags(self) -> Iterator[str]:
        """end-8b: the tags, a page at a time. Raises AnswerError, RegistryError."""
        url: str | None = f"/v2/{self.repository}/tags/list?n=1000"
        while url:
            response = self.transport.request("GET", url, scopes=self._pull)
            found = _NEXT.search(response.headers.get("Link", ""))
            try:
                names = read_json(self.transport.read(response))["tags"] or []
            except (ValueError, KeyError, TypeError) as error:
                raise RegistryError(f"registry {self} sent no list of tags") from error
            yield from (name for name in names if isinstance(name, str))
            url = (
                self.transport.allowed(urljoin(urljoin(self.transport.base, url), found[1]))
                if found and names
                else None
            )

    def fetch(self, digest: str, size: int | None, context: Fetching, title: str = "") -> None:
        """end-2: have a blob in the store of `context`, as `net.download` does it: resumed, retried, digest-checked.

        `title` names it in progress. Raises IntegrityError on wrong bytes, GoneError, RegistryError, StoreError.
        """
        if context.blobs.has(digest, size):
            return
        url = self._url("blobs", digest)
        try:
            bring(
                lambda url, _, extra: self.transport.read_range(url, self._pull, extra),
                lambda: (f"{self.transport.base}{url}", {}),
                context,
                title or f"blob {digest[7:19]}",
                sha256=hex_of(digest),
                size=size,
                source="registry",
            )
        except Failure as failure:
            text = f"could not fetch blob {digest} of {self}: {failure.text}"
            error = error_of(failure, text, context.blobs)
            raise RegistryError(text, hint=failure.hint) if type(error) is FetchError else error from None

    def upload(self, digest: str, size: int, body: Body, *, mount_from: str | None = None) -> str:
        """end-11, end-4b and end-6: bring a blob here; returns "mounted" or "uploaded".

        `body` opens the blob's `size` bytes; it is opened again for every try. `mount_from` is another repository
        of this registry that may have it. A broken upload starts over: registries cannot be trusted to resume.
        Raises RegistryError, IntegrityError where `body` is longer or shorter than `size`.
        """

        def attempt(number: int) -> str:
            location = self._start_upload(digest, None if number else mount_from)
            if location is None:
                return "mounted"
            url = location + ("&" if urlsplit(location).query else "?") + f"digest={quote(digest, safe='')}"
            self.transport.request(
                "PUT",
                url,
                scopes=self._push,
                headers={"Content-Type": "application/octet-stream"},
                body=lambda: _measured(body(), digest, size),
                size=size,
                ok=(201, 202, 204),
                tries=1,
            ).close()
            return "uploaded"

        return self.transport.trying(attempt, lost=("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"))

    def mount(self, digest: str, source: str) -> bool:
        """end-11: have a blob of the repository `source` here too; False where the registry does not do that.

        Raises RegistryError.
        """
        return self._start_upload(digest, source) is None

    def put_manifest(self, data: bytes, media_type: str, reference: str) -> str:
        """end-7: store a manifest or index under a tag or its digest; returns the digest. Raises RegistryError."""
        digest = digest_of(data)
        response = self.transport.request(
            "PUT",
            self._url("manifests", reference),
            scopes=self._push,
            headers={"Content-Type": media_type},
            body=lambda: [data],
            size=len(data),
            ok=(201,),
        )
        stored = response.headers.get("Docker-Content-Digest", digest)
        response.close()
        if stored.startswith("sha256:") and stored != digest:
            raise RegistryError(f"registry {self} stored manifest {digest} as {stored}: it changed the bytes")
        return digest

    def remove_manifest(self, reference: str) -> None:
        """end-9: forget a tag, or a manifest by its digest. Raises RegistryError where a registry does not do that."""
        url = self._url("manifests", reference)
        self.transport.request("DELETE", url, scopes=self._delete, ok=(202, 204, 200)).close()

    def remove_blob(self, digest: str) -> None:
        """end-10: have a blob in this repository no longer, also where there is none. Raises AnswerError where the
        registry does not do that.
        """
        self.transport.request(
            "DELETE", self._url("blobs", digest), scopes=self._delete, ok=(202, 204, 200, 404)
        ).close()

    def _start_upload(self, digest: str, mount_from: str | None) -> str | None:
        """end-4a, end-11: the URL to upload to, or None where the blob could be mounted."""
        url = f"/v2/{self.repository}/blobs/uploads/"
        scopes: tuple[str, ...] = self._push
        if mount_from and mount_from != self.repository:
            url += f"?mount={quote(digest, safe='')}&from={quote(mount_from, safe='')}"
            scopes = (*self._push, f"repository:{mount_from}:pull")
        try:
            response = self.transport.request("POST", url, scopes=scopes, ok=(201, 202))
        except AnswerError as error:
            if scopes == self._push or error.status not in (401, 403, 404):
                raise
            return self._start_upload(digest, None)  # no right to read the other repository
        location = response.headers.get("Location", "")
        response.close()
        if response.status == 201 and scopes != self._push:
            return None
        if not location:
            raise RegistryError(f"registry {self} began an upload and did not say where to send it")
        return self.transport.allowed(urljoin(self.transport.base, location))

    def _url(self, kind: str, reference: str) -> str:
        return f"/v2/{self.repository}/{kind}/{quote(reference, safe=':')}"


def _measured(chunks: Iterable[bytes], digest: str, size: int) -> Iterator[bytes]:
    """`chunks`, which must have `size` bytes: a shorter body would make both sides wait for the rest."""
    done = 0
    for chunk in chunks:
        done += len(chunk)
        if done > size:
            break
        yield chunk
    if done != size:
        raise IntegrityError(f"{digest} should have {size} bytes and has {'more' if done > size else done}")
