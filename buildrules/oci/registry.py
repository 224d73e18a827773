"""A client of the OCI distribution specification 1.1: manifests, blobs, uploads, mounts.

Section numbers below are those of its "Endpoints" table. Digests are `sha256:<hex>` throughout; whatever
is read is checked against the digest it was asked by.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from buildrules.errors import FetchError, IntegrityError, RegistryError
from buildrules.net.client import Answer, Client
from buildrules.net.download import Fetching, bring, error_of
from buildrules.oci import descriptor as media
from buildrules.oci.auth import ANONYMOUS, Credentials
from buildrules.oci.reference import DIGEST
from buildrules.oci.transport import AnswerError, Body, Transport
from buildrules.start.failure import Failure
from buildrules.start.header import content_length
from buildrules.store.blobs import hex_of

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
    ) -> None:
        """`plain_http`: None means http on loopback and https elsewhere, True http, False https only."""
        self.repository = repository
        self.transport = Transport(host, credentials, plain_http=plain_http, sleep=sleep, client=client)
        self._pull = (f"repository:{repository}:pull",)
        self._push = (f"repository:{repository}:pull,push",)

    def __str__(self) -> str:
        return f"{self.transport.host}/{self.repository}"

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def ping(self) -> None:
        """end-1: the registry is there, speaks the protocol and accepts the credentials. Raises RegistryError."""
        self.transport.request("GET", "/v2/").close()

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
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        expected = reference if DIGEST.fullmatch(reference) else announced
        if expected.startswith("sha256:") and digest != expected:
            raise IntegrityError(f"registry {self} sent {digest} instead of {expected} ({reference!r})")
        return Manifest(digest, media_type, data)

    def head_manifest(self, reference: str) -> tuple[str, int] | None:
        """end-3 HEAD: digest ("" where the registry does not say) and size of a manifest, or None."""
        url = self._url("manifests", reference)
        answer = self._head(url, {"Accept": ACCEPT})
        if answer is None:
            return None
        return answer.headers.get("Docker-Content-Digest", ""), content_length(answer.headers) or 0

    def blob_size(self, digest: str) -> int | None:
        """end-2 HEAD: the size of a blob in bytes, or None where this repository does not have it."""
        answer = self._head(self._url("blobs", digest), {})
        return None if answer is None else content_length(answer.headers) or 0

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

    def put_manifest(self, data: bytes, media_type: str, reference: str) -> str:
        """end-7: store a manifest or index under a tag or its digest; returns the digest. Raises RegistryError."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
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

    def _head(self, url: str, headers: dict[str, str]) -> Answer | None:
        response = self.transport.request("HEAD", url, scopes=self._pull, headers=headers, ok=(200, 404))
        response.close()
        return response if response.status == 200 else None

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
