"""Image references: where an image is named, in a registry, an OCI layout or the local Docker Engine.

Grammar of a registry reference: the distribution project's `reference` package
(`[host[:port]/]path[:tag][@sha256:<hex>]`). The two others are spelled as skopeo spells them:
`oci-layout:PATH[:ref][@sha256:<hex>]` and `docker-daemon:NAME[:tag]` or `docker-daemon:sha256:<hex>`.
"""

import re
from dataclasses import dataclass, replace

from buildrules.errors import UsageError
from buildrules.oci.descriptor import is_digest
from buildrules.oci.names import HOST, PATH, TAG

REGISTRY = "registry"
LAYOUT = "oci-layout"
ARCHIVE = "oci-archive"
DAEMON = "docker-daemon"

_USERINFO = re.compile(r".*@(?!sha256:)", re.DOTALL)  # greedy: a password may hold '@' and '/'


@dataclass(frozen=True, slots=True)
class Reference:
    """One image: `transport` is REGISTRY (`host`, `name` = repository), LAYOUT, ARCHIVE (`name` = path) or DAEMON.

    `tag` is a tag, a reference name of a layout, or None; `digest` is `sha256:<hex>` or None. In the local
    Docker Engine a digest is an image ID. No field ever holds a credential.
    """

    transport: str
    name: str
    host: str = ""
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """The canonical spelling; `parse_reference(str(r)) == r`."""
        if self.transport == DAEMON:
            name = f"{self.name}:{self.tag}" if self.tag else self.name
            return f"{DAEMON}:{name or self.digest}"
        text = f"{self.host}/{self.name}" if self.transport == REGISTRY else f"{self.transport}:{self.name}"
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text

    def at(self, digest: str) -> "Reference":
        """The same image pinned to `digest`; a tag stays readable beside it."""
        return replace(self, digest=digest)


def parse_reference(text: str, default_registry: str | None = None) -> Reference:
    """Read an image reference. `default_registry` (`host[:port][/path]`) completes one that names no host.

    Without tag and digest a registry reference means the tag `latest`. Raises UsageError.
    """
    if not text or text != text.strip() or any(ord(character) < 33 for character in text):
        raise UsageError(f"not an image reference: {hide_userinfo(text)!r}", hint="write HOST/REPOSITORY:TAG")
    if text.startswith(f"{LAYOUT}:"):
        return _layout(text)
    if text.startswith(f"{DAEMON}:"):
        return _daemon(text)
    return _registry(text, default_registry)


def parse_place(text: str, default_registry: str | None = None) -> Reference:
    """Read where an image is copied from or to: an image reference, or `oci-archive:FILE[:ref][@sha256:<hex>]`.

    Raises UsageError.
    """
    if not text.startswith(f"{ARCHIVE}:"):
        return parse_reference(text, default_registry)
    return replace(parse_reference(LAYOUT + text.removeprefix(ARCHIVE)), transport=ARCHIVE)


def hide_userinfo(text: str) -> str:
    """`text` without the `user:password@` somebody may have put into a reference or URL."""
    scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
    return scheme + separator + _USERINFO.sub("", rest, count=1)


def _registry(text: str, default_registry: str | None) -> Reference:
    shown = hide_userinfo(text)
    if "://" in text:
        raise UsageError(f"image reference {shown!r} has a scheme", hint="write HOST/REPOSITORY:TAG without it")
    if shown != text:
        raise UsageError(
            f"image reference {shown!r} holds a user name or password",
            hint="leave it out: credentials come from Docker's config.json (docker login)",
        )
    name, digest = _split_digest(text, text)
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or any(mark in first for mark in ".:[") or first != first.lower()):
        host, path = first, rest
    elif default_registry:
        host, path = _default(default_registry)
        path += name
    else:
        raise UsageError(
            f"image reference {text!r} names no registry",
            hint=f"write HOST/{name}, or set 'default_registry' in the workspace settings",
        )
    path, tag = _split_tag(path, text)
    if not HOST.fullmatch(host):
        raise UsageError(f"{host!r} in image reference {text!r} is not a host name")
    if not PATH.fullmatch(path) or len(path) > 255:
        raise UsageError(
            f"{path!r} in image reference {text!r} is not a repository name",
            hint="it has lower-case letters, digits and single '.', '_', '-' between them, in parts joined by '/'",
        )
    if tag is None and digest is None:
        tag = "latest"
    return Reference(REGISTRY, path, host=host.lower(), tag=tag, digest=digest)


def _default(registry: str) -> tuple[str, str]:
    """Host and path prefix (empty, or with a slash at the end) of the workspace's default registry."""
    if "://" in registry or hide_userinfo(registry) != registry:
        raise UsageError(
            f"'default_registry' {hide_userinfo(registry)!r} is not HOST[:PORT][/PATH]",
            hint="leave out the scheme and any user name or password",
        )
    host, _, prefix = registry.strip("/").partition("/")
    return host, f"{prefix}/" if prefix else ""


def _layout(text: str) -> Reference:
    rest, digest = _split_digest(text.removeprefix(f"{LAYOUT}:"), text)
    path, _, tag = rest.partition(":")
    if not path:
        raise UsageError(f"image reference {text!r} names no directory", hint=f"write {LAYOUT}:PATH[:REF]")
    return Reference(LAYOUT, path, tag=tag or None, digest=digest)


def _daemon(text: str) -> Reference:
    name = text.removeprefix(f"{DAEMON}:")
    bare = name.removeprefix("sha256:")
    if is_digest(f"sha256:{bare}"):
        return Reference(DAEMON, "", digest=f"sha256:{bare}")
    if not name or "@" in name or "://" in name:
        raise UsageError(
            f"{hide_userinfo(text)!r} names no local image", hint=f"write {DAEMON}:NAME[:TAG] or {DAEMON}:sha256:ID"
        )
    name, tag = _split_tag(name, text)
    return Reference(DAEMON, name, tag=tag or "latest")


def _split_digest(name: str, text: str) -> tuple[str, str | None]:
    name, at, digest = name.partition("@")
    if at and not is_digest(digest):
        raise UsageError(
            f"{digest!r} in image reference {text!r} is not a digest", hint="write @sha256:<64 hex digits>"
        )
    return name, digest if at else None


def _split_tag(name: str, text: str) -> tuple[str, str | None]:
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, None
    if not TAG.fullmatch(tag):
        raise UsageError(f"{tag!r} in image reference {text!r} is not a tag")
    return path, tag
