"""Calls of gRPC: with a limit of time, a login, and errors by their class. grpc is imported when a call is made.

Sources: github.com/grpc/grpc, doc/statuscodes.md; google/rpc/error_details.proto (RetryInfo, in the trailer
`grpc-status-details-bin`).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from urllib.parse import urlsplit

from buildrules.credentials.login import Login
from buildrules.credentials.netrc import netrc_login
from buildrules.credentials.redact import redact
from buildrules.errors import CredentialsError, UsageError
from buildrules.net.session import Session
from buildrules.remote.backend import RemoteError
from buildrules.remote.protobuf import Table, decode, encode
from buildrules.remote.reapi_messages import RETRY_INFO, STATUS
from buildrules.start.address import is_loopback
from buildrules.start.secret import hide
from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

Message = Mapping[str, Any]

DEADLINE = 30.0  # seconds, and what the bytes take on a slow line
SLOWEST = 1e6  # bytes a second
_CONNECT = 3000  # milliseconds
_OPTIONS = (
    ("grpc.min_reconnect_backoff_ms", _CONNECT),  # which is how long one try to connect may take
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),  # what is under way is lost when the line tears:
    ("grpc.http2.lookahead_bytes", 64 << 10),  # no more than the message that is being read
)
_TRANSIENT = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN")
_REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
_CODES = {3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 8: "RESOURCE_EXHAUSTED", 10: "ABORTED", 13: "INTERNAL"}
_CODES |= {2: "UNKNOWN", 4: "DEADLINE_EXCEEDED", 7: "PERMISSION_DENIED", 11: "OUT_OF_RANGE", 14: "UNAVAILABLE"}
_CODES |= {16: "UNAUTHENTICATED", 1: "CANCELLED", 9: "FAILED_PRECONDITION", 12: "UNIMPLEMENTED"}


class CallError(RemoteError):
    """A call that failed; `code` is the name of its status, such as NOT_FOUND."""

    def __init__(self, code: str, text: str, wait: float | None = None) -> None:
        super().__init__(text, retry=code in _TRANSIENT, wait=wait, refused=code in _REFUSED)
        self.code = code


class Channel:
    """The connection to the server of `url` (grpc:, grpcs:), which is made at the first call. For concurrent threads.

    `connection` names the connection whose login is sent; else it is that of the workspace's which serves the address,
    or that of netrc. Raises UsageError, CredentialsError.
    """

    def __init__(self, url: str, session: Session, connection: str | None = None) -> None:
        parts = urlsplit(url)
        self.encrypted = parts.scheme == "grpcs"
        host, port = parts.hostname or "", parts.port or (443 if self.encrypted else 80)
        if not host:
            raise UsageError(f"{redact(url)!r} names no host", hint="write grpcs://HOST[:PORT][/INSTANCE]")
        self.host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._local = is_loopback(host)
        self._session = session
        self._lock = Lock()
        self._channel: grpc.Channel | None = None
        login = _login(url, self.encrypted or self._local, session, connection)
        self._metadata = tuple((name.lower(), value) for name, value in (login.headers() if login else {}).items())

    def ask(
        self, method: str, forms: tuple[Table, Table], message: Message, *, seconds: float = 0, size: int = 0
    ) -> dict[str, Any]:
        """The answer to a call of `method`, "/service/Method"; `forms` are the tables of both messages.

        It may take so many `seconds`, else as long as the `size` bytes take that go or come with it. Raises CallError.
        """
        call = self._open().unary_unary(method)
        with _Errors():
            limit = seconds or deadline(size)
            return decode(forms[1], call(encode(forms[0], message), timeout=limit, metadata=self._metadata))

    def receive(
        self,
        method: str,
        forms: tuple[Table, Table],
        message: Message,
        *,
        seconds: float = 0,
        size: int = 0,
        at_cancel: Callable[[Callable[[], None]], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> Iterator[dict[str, Any]]:
        """The answers to a call that has several, see `ask`. What `at_cancel` gets breaks it off. Raises CallError."""
        call = self._open().unary_stream(method)
        with _Errors():
            limit = seconds or deadline(size)
            answers = call(encode(forms[0], message), timeout=limit, metadata=self._metadata)
            try:
                with at_cancel(answers.cancel):
                    for answer in answers:
                        yield decode(forms[1], answer)
            finally:
                answers.cancel()  # where nobody wants the rest

    def send(self, method: str, forms: tuple[Table, Table], messages: Iterable[Message], size: int) -> dict[str, Any]:
        """The answer to a call with several messages. Raises CallError, and what `messages` raises."""
        broken: list[BaseException] = []

        def encoded() -> Iterator[bytes]:
            try:
                for message in messages:
                    yield encode(forms[0], message)
            except GeneratorExit:  # the answer came before all was taken
                raise
            except BaseException as error:  # noqa: BLE001 - grpc would print it, and say that it does not know
                broken.append(error)

        call = self._open().stream_unary(method)
        try:
            with _Errors():
                answer = call(encoded(), timeout=deadline(size), metadata=self._metadata)
                return decode(forms[1], answer)
        finally:
            if broken:
                raise broken[0]

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None

    def _open(self) -> "grpc.Channel":
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it prints what it raises as well, and has no other switch
        try:
            import grpc
        except ImportError:
            raise UsageError(
                "grpc: addresses need the package 'grpcio'", hint="install it: pip install 'buildrules[grpc]'"
            ) from None
        with self._lock:
            if self._channel is None:
                options = (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if self._local else _OPTIONS
                if self.encrypted:
                    trusted = grpc.ssl_channel_credentials(_certificates(self._session))
                    self._channel = grpc.secure_channel(self.host, trusted, options)
                else:
                    self._channel = grpc.insecure_channel(self.host, options)
            return self._channel


class _Errors:
    """Raises CallError instead of grpc's own errors."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import grpc

        if isinstance(error, grpc.RpcError):
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            raise failed(error.code().name, error.details() or "", details) from None
        if isinstance(error, ValueError):
            raise CallError("INTERNAL", f"it sent what is no answer: {error}") from None


def failed(code: str, said: str, details: bytes = b"") -> CallError:
    """The error for a call's status, with what the server said; `details` is a google.rpc.Status."""
    wait = None
    try:
        for detail in decode(STATUS, details)["details"]:
            if detail["type_url"].endswith("/google.rpc.RetryInfo"):
                delay = decode(RETRY_INFO, detail["value"])["retry_delay"]
                wait = delay and delay["seconds"] + delay["nanos"] / 1e9
    except ValueError:
        pass  # its code says enough
    text = " ".join(hide(said)[:300].split())
    return CallError(code, code.lower().replace("_", " ") + (f": {text}" if text else ""), wait)


def check_status(status: Message | None) -> None:
    """Raise CallError for a status inside of an answer (google.rpc.Status), unless it is OK."""
    if status and status["code"]:
        raise failed(_CODES.get(status["code"], "UNKNOWN"), status["message"])


def deadline(size: int) -> float:
    """Seconds that a call may take which moves `size` bytes."""
    return DEADLINE + size / SLOWEST


def _login(url: str, private: bool, session: Session, connection: str | None) -> Login | None:
    """The login to send to `url`. Raises UsageError, CredentialsError."""
    parts = urlsplit(url)
    web = parts._replace(scheme="https" if parts.scheme == "grpcs" else "http").geturl()
    found = session.connections.named(connection) if connection else session.connections.serving(web)
    if found is None:
        pair = netrc_login(parts.hostname or "") if private else None
        return Login("basic", *pair) if pair else None
    login = found.login()
    if login and not private and not found.plain_http:
        raise CredentialsError(
            f"connection {found.name!r} would send its credentials unencrypted, to {redact(url)}",
            hint=f"use grpcs, or say plain_http: true in workspace.connections.{found.name}",
        )
    if login and not login.headers():
        raise CredentialsError(
            f"connection {found.name!r} has a login that gRPC cannot send",
            hint="use credentials of type pat, api_key or username_password",
        )
    return login


def _certificates(session: Session) -> bytes | None:
    """The certificates to trust (PEM); None for grpc's own. Raises CredentialsError."""
    file, folder = session.connections.certificates()
    found = []
    try:
        paths = sorted(entry.path for entry in os.scandir(folder) if entry.is_file()) if folder else []
        for path in [file] if file else paths:
            with open(path, "rb") as one:
                found.append(one.read())
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise CredentialsError(
            f"the certificates to trust cannot be read: {file or folder!r}: {reason}",
            hint="see workspace.tls.certificates, or the variables SSL_CERT_FILE and SSL_CERT_DIR",
        ) from None
    return b"\n".join(found) or None
