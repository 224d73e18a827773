"""A team that shares a cache: a workspace that trusts two keys, and machines with copies of it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from buildrules.engine.parcel import naming, packed
from buildrules.remote.envelope import Envelope, read_envelope
from buildrules.remote.keys import PrivateKey
from buildrules.remote.names import content_path
from tests.support.space import Report, Space

CI = PrivateKey("ci", b"c" * 32)
DEVELOPER = PrivateKey("ada", b"a" * 32)
STRANGER = PrivateKey("ci", b"s" * 32)
"""Of the same name, and trusted by nobody."""


class Team:
    """A workspace that trusts two keys, a shared folder, and machines with copies of the workspace."""

    def __init__(self, workspace: Space, folder: Path) -> None:
        self.cache = folder / "cache"
        self.cache.mkdir()
        self.url = f"file://{self.cache}"
        self._first, self._folder = workspace, folder
        workspace.write("keys/ci.pub", CI.public(("main",)).text())
        workspace.write("keys/ada.pub", DEVELOPER.public(("developer/ada",)).text())
        settings = "cache: {public_keys: [keys/ci.pub, keys/ada.pub], signatures: require, signing_key: {env: SIGNING}}"
        workspace.edit("BUILD.yaml", "  name: acme\n", f"  name: acme\n  {settings}\n")
        self.expected = workspace.build().digest

    def machine(self, name: str, **settings: str) -> Space:
        """One that only reads; `settings` of the cache other than the workspace's."""
        space = Space(self._folder / name, self._first.wheels)
        shutil.copytree(self._first.root, space.root)
        space.env |= {"BUILDRULES_CACHE": self.url, "BUILDRULES_CACHE_UPLOAD": "never"}
        for key, value in settings.items():
            old = "signatures: require" if key == "signatures" else "cache: {"
            space.edit("BUILD.yaml", old, f"{key}: {value}" if key == "signatures" else f"cache: {{{key}: {value}, ")
        return space

    def writer(self, name: str, signer: PrivateKey | None, **settings: str) -> Space:
        """One that writes, and signs with a key if it has one."""
        space = self.machine(name, **settings)
        space.env["BUILDRULES_CACHE_UPLOAD"] = "always"
        if signer is None:
            space.edit("BUILD.yaml", ", signing_key: {env: SIGNING}", "")
        else:
            space.env["SIGNING"] = signer.text()
        return space

    def built(self, space: Space) -> Report:
        """What a build there gives, which is right whatever lies in the cache."""
        report = space.build()
        assert report.digest == self.expected
        space.sound()
        return report

    def pack(self) -> list[Path]:
        """Let each record name content that has what it said, as long ones do; the files of that."""
        files = []

        def change(envelope: Envelope) -> bytes:
            blob, data = packed(envelope.body)
            path = self.cache / content_path(blob.digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            files.append(path)
            return envelope._replace(body=naming(blob)).seal(CI)

        self.replace(change)
        return sorted(set(files))

    def records(self) -> Iterator[tuple[Path, Envelope]]:
        for path in sorted((self.cache / "ac").rglob("*")):
            if path.is_file():
                yield path, read_envelope(path.read_bytes())

    def replace(self, change: Callable[[Envelope], bytes | None]) -> int:
        """Put something else in the place of each record; how many."""
        count = 0
        for path, envelope in list(self.records()):
            data = change(envelope)
            if data is not None:
                path.chmod(0o644)
                path.write_bytes(data)
                count += 1
        return count
