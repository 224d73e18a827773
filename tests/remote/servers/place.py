"""What the conformance suite knows of a place that a test has started."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from buildrules.net.session import Session
from buildrules.remote.backend import Backend
from buildrules.remote.opening import open_backend
from tests.support.faulty import Fault, Faulty


@dataclass(frozen=True)
class Place:
    """An address of a cache, and what makes it reachable and what is true of it.

    `host` is `host:port` where a proxy can stand in between, `http` whether that is what is spoken there; `environment`
    is what a client needs. `checks` is whether the server itself refuses content that is not what its digest says;
    `first` whether the first of two records stays. `patience` names the numbers of `buildrules.remote` that say how
    many seconds it may be silent; `again` is how many bytes come once more at most where a read is torn.
    `plant(name, data)` puts other bytes under the digest `sha256:<name>` behind the server's back, None where that
    cannot be done.
    """

    url: str
    host: str | None = None
    http: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    checks: bool = False
    first: bool = True
    patience: tuple[str, ...] = ()
    again: int = 1 << 20
    plant: Callable[[str, bytes], None] | None = None

    def behind(self, host: str) -> "Place":
        """The same place, seen through a proxy at `host`."""
        assert self.host is not None
        seen = {name: value.replace(self.host, host) for name, value in self.environment.items()}
        return replace(self, url=self.url.replace(self.host, host), environment=seen)

    @contextmanager
    def failing(self, faults: Iterable[Fault | None] = (), **more: Any) -> Iterator[tuple[Faulty, Backend]]:
        """A proxy that fails as told, and a client that sees the place through it."""
        assert self.host is not None
        with Faulty(self.host, faults, http=self.http, **more) as proxy, self.behind(proxy.host).opened() as backend:
            yield proxy, backend

    @contextmanager
    def opened(self) -> Iterator[Backend]:
        """A client of it, with a session of its own."""
        before = {name: os.environ.get(name) for name in self.environment}
        session = Session()
        os.environ.update(self.environment)
        try:
            backend = open_backend(self.url, session)
            yield backend
            backend.close()
        finally:
            session.close()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
