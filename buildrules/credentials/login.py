"""What a request needs to be let in, made from the parts of a credential.

`kind` is one of `basic` (RFC 7617), `bearer` (RFC 6750), `header` (a header of its own), `query` (a shared access
signature) and `keys` (an access key, for whoever signs requests with it).
"""

import base64


class Login:
    """One login. `name` is the user, header or access key id; `secret` is what must not be shown."""

    __slots__ = ("kind", "name", "secret", "session")

    def __init__(self, kind: str, name: str, secret: str, session: str | None = None) -> None:
        self.kind = kind
        self.name = name
        self.secret = secret
        self.session = session  # the session token of temporary keys

    def headers(self) -> dict[str, str]:
        """The headers to send; empty for `query` and `keys`."""
        if self.kind == "basic":
            pair = f"{self.name}:{self.secret}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
        if self.kind == "bearer":
            return {"Authorization": f"Bearer {self.secret}"}
        return {self.name: self.secret} if self.kind == "header" else {}

    def query(self) -> str:
        """What to add to the url's query, without `?`; empty but for `query`."""
        return self.secret.lstrip("?&") if self.kind == "query" else ""

    def onto(self, url: str) -> str:
        """`url` with `query()` added: for the moment of a request, never to be kept or shown."""
        more = self.query()
        if not more:
            return url
        bare, mark, fragment = url.partition("#")
        return f"{bare}{'&' if '?' in bare else '?'}{more}{mark}{fragment}"

    def secrets(self) -> list[str]:
        """The texts that must not be shown, in every form a request gives them."""
        found = [self.secret, *([self.session] if self.session else [])]
        if self.kind == "basic":
            found.append(self.headers()["Authorization"][len("Basic ") :])
        if self.kind == "query":
            found.append(self.query())
        return found

    def __repr__(self) -> str:
        return f"Login({self.kind})"
