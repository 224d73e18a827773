"""Keys, tokens and passwords in files that are going to be packaged: whoever can pull the image can read them.

Only forms that cannot be anything else are looked for, by what their issuers document. Each has a mark that is searched
first; the expression is compiled only where it is found, and takes time in proportion to the file, whatever is in it:
what may stand before a mark is bounded. What is shown is masked.
"""

from collections.abc import Iterator

from buildrules.lints.finding import ERROR, WARNING, Finding
from buildrules.lints.passwords import assigned

LARGEST = 1 << 20
"""Files of more bytes are data."""

HEAD = 8192
"""A file that has no zero byte among so many at its start is text."""

IGNORE = b"buildrules: ignore"
"""A line with this is not looked at."""

_FORMS: tuple[tuple[str, tuple[bytes, ...], bytes], ...] = (
    (
        "a private key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?=[\s\\\"'])",
    ),
    ("an AWS access key", (b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (
        "an AWS secret key",
        (b"aws_secret_access_key", b"AWS_SECRET_ACCESS_KEY", b"SecretAccessKey"),
        rb"(?i)secret_?access_?key[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    ),
    ("an Azure storage key", (b"AccountKey=",), rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("an Azure shared access key", (b"SharedAccessKey=",), rb"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    ("an Azure SAS token", (b"sig=",), rb"[?&]sig=(?:[A-Za-z0-9+/]|%2[BbFf]){42,44}(?:=|%3[Dd])"),
    ("a Google API key", (b"AIza",), rb"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])"),
    ("a Google OAuth token", (b"ya29.",), rb"\bya29\.[0-9A-Za-z_-]{40,}"),
    (
        "a GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})(?![A-Za-z0-9])",
    ),
    ("a GitLab token", (b"glpat-",), rb"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a Hugging Face token", (b"hf_",), rb"\bhf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    ("an OpenAI key", (b"T3BlbkFJ",), rb"\bsk-[A-Za-z0-9_-]{0,200}T3BlbkFJ[A-Za-z0-9_-]+"),
    ("an Anthropic key", (b"sk-ant-",), rb"\bsk-ant-[A-Za-z0-9_-]{32,}"),
    ("a Slack token", (b"xox",), rb"\bxox[abeoprs]-[A-Za-z0-9-]{20,}"),
    ("a Stripe key", (b"k_live_",), rb"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    ("a SendGrid key", (b"SG.",), rb"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("an npm token", (b"npm_",), rb"\bnpm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    ("a package index token", (b"pypi-AgE",), rb"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("a Databricks token", (b"dapi",), rb"\bdapi[a-f0-9]{32}(?:-\d)?(?![a-f0-9])"),
    (
        "a password in a url",
        (b"://",),
        rb"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"'{}$<>]+:(?!\*+@|x+@|pass(?:word)?@|token@|secret@)[^\s/:@\"'{}$<>]+@[A-Za-z0-9.-]+",
    ),
)

_NAMES = {
    ".git-credentials": "Git's passwords",
    ".netrc": "passwords of hosts",
    "_netrc": "passwords of hosts",
    ".pypirc": "passwords of package indexes",
    ".htpasswd": "passwords",
    ".pgpass": "passwords of databases",
    "id_rsa": "a private key",
    "id_dsa": "a private key",
    "id_ecdsa": "a private key",
    "id_ed25519": "a private key",
}
_ENDINGS = {".p12": "a private key", ".pfx": "a private key", ".jks": "private keys", ".kdbx": "passwords"}
_FOLDERS = {
    ".aws/credentials": "AWS keys",
    ".docker/config.json": "logins of registries",
    ".kube/config": "logins of clusters",
}
_TEMPLATES = (".example", ".sample", ".template", ".dist")


def suspicious_name(path: str) -> str | None:
    """What a file of this name holds, where that is a secret: "passwords of hosts"."""
    name = path.rpartition("/")[2]
    if (name == ".env" or name.startswith(".env.")) and not name.endswith(_TEMPLATES):
        return "settings that are often secret"
    place = "/".join(path.rsplit("/", 2)[-2:])
    return _FOLDERS.get(place) or _NAMES.get(name) or _ENDINGS.get(name[name.rfind(".") :].lower())


def secrets_in(path: str, content: bytes) -> list[Finding]:
    """The secrets in a file: by its name, then by its `content`, if that is text."""
    found = []
    what = suspicious_name(path)
    if what is not None:
        hint = "leave it out with `exclude`, and give the container its values as environment variables"
        found.append(Finding("secret", ERROR, f"'{path}' holds {what}, and would be in the image", path, 1, 1, hint))
    if len(content) <= LARGEST and b"\0" not in content[:HEAD]:
        found += _by_form(path, content)
        places = {(finding.line, finding.column) for finding in found}
        found += [finding for finding in _by_name(path, content) if (finding.line, finding.column) not in places]
    return found


def secret_of_test(label: str, name: str) -> Finding:
    """A value of a test that seems to be a secret. Of the test's own place, which is still to be set."""
    return Finding(
        "secret",
        WARNING,
        f"'{label}' has the value of '{name}' written out, which seems to be a secret: it is kept in the store",
        hint="test with one that opens nothing; if it is none, say so with lint_ignore: [secret] of the package",
    )


def secret_of_image(name: str) -> Finding:
    """A variable of a package that seems to hold a secret. Of the package's place, which is still to be set."""
    return Finding(
        "secret",
        WARNING,
        f"the variable '{name}' seems to hold a secret, and would be in the image",
        hint="leave it out, and give it to the container when it runs; if it is none, lint_ignore: [secret]",
    )


class _Lines:
    """Where places of a file are, asked from front to back: a file may be one line with very many of them."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._line, self._begin, self._end, self._ignored = 1, 0, -1, False

    def place(self, start: int, stop: int) -> tuple[int, int] | None:
        """Line and column of a place; None where its line is not to be looked at."""
        if start > self._end:
            content = self._content
            self._line += content.count(b"\n", self._begin, start)
            self._begin = content.rfind(b"\n", 0, start) + 1
            end = content.find(b"\n", stop)
            self._end = end if end >= 0 else len(content)
            self._ignored = IGNORE in content[self._begin : self._end]
        return None if self._ignored else (self._line, start - self._begin + 1)


_MARKS = tuple(mark for _, marks, _ in _FORMS for mark in marks)


def _by_form(path: str, content: bytes) -> Iterator[Finding]:
    for mark in _MARKS:
        if mark in content:
            break
    else:
        return
    for what, marks, form in _FORMS:
        if not any(mark in content for mark in marks):
            continue
        import re

        lines = _Lines(content)
        for match in re.finditer(form, content):
            place = lines.place(match.start(), match.end())
            if place is None:
                continue
            yield Finding(
                "secret",
                ERROR,
                f"{what} ({_masked(match[0])}) would be in the image",
                path,
                *place,
                "take it out, revoke it if anybody has seen it, and read it from the environment when the server runs;"
                f" if it is no secret, write '{IGNORE.decode()}' on the line",
            )


def _by_name(path: str, content: bytes) -> Iterator[Finding]:
    lines = _Lines(content)
    for start, stop, name in assigned(path, content):
        place = lines.place(start, stop)
        if place is None:
            continue
        shown = name.decode("ascii", "replace")[:40]
        yield Finding(
            "secret",
            WARNING,
            f"what is assigned to '{shown}' looks like a secret, and would be in the image",
            path,
            *place,
            "read it from the environment when the server runs;"
            f" if it is no secret, write '{IGNORE.decode()}' on the line",
        )


def _masked(secret: bytes) -> str:
    """Enough to find it, and not enough to use it."""
    text = secret.decode("ascii", "replace")
    if text.startswith("-----"):
        return text.strip("-").strip().lower()
    if "://" in text:
        return f"{text.partition('://')[0]}://...@{text.rpartition('@')[2]}"
    name, equals, _ = text.partition("=")
    return f"{name.strip()[:24]}=..." if equals and len(name) < 40 else f"{text[:4]}..."
