"""OpenPGP clear signatures, checked by gpgv, or by sqv where there is no gpgv. Neither is given the user's keyring."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from buildrules.errors import BuildrulesError, IntegrityError, UsageError

if TYPE_CHECKING:
    from buildrules.store.blobs import Blobs

_STATUS = re.compile(r"^\[GNUPG:\] (\w+) ?(.*)$", re.MULTILINE)
_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END = b"-----END PGP SIGNATURE-----"
_BAD = {
    "BADSIG": "is bad",
    "EXPSIG": "has expired",
    "EXPKEYSIG": "is by an expired key",
    "REVKEYSIG": "is by a revoked key",
}
_UNKNOWN_ALGORITHM = "4"  # field 6 of ERRSIG; 9 is an unknown key (GnuPG, doc/DETAILS)


def verify(data: bytes, keys: tuple[str, ...], signers: tuple[str, ...], where: str, blobs: "Blobs") -> bytes:
    """The signed text of a clear-signed file.

    `keys` are keyring files (binary or armoured) or armoured text; with `signers`, one of these fingerprints must have
    signed. `where` names the file in errors. Raises IntegrityError unless a signature is good and none is bad,
    UsageError where there is no verifier or no keyring.
    """
    os.makedirs(blobs.tmp, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=blobs.tmp) as folder:
        rings = _write_keys(keys, folder, where)
        if shutil.which("gpgv"):
            return _gpgv(data, rings, signers, where, folder)
        if shutil.which("sqv"):
            return _sqv(data, rings, signers, where, folder)
    raise UsageError(
        "nothing on this machine can check the signature of a Debian release",
        hint="install gpgv (apt install gpgv) or sqv",
    )


def _write_keys(keys: tuple[str, ...], folder: str, where: str) -> list[str]:
    rings = []
    for number, key in enumerate(keys):
        if key.startswith("-----BEGIN"):
            raw = key.encode()
        else:
            try:
                raw = Path(key).read_bytes()
            except OSError as error:
                raise UsageError(
                    f"cannot read the keyring {key!r}: {error.strerror}", hint="check workspace.debian.keyring"
                ) from None
        path = Path(folder, f"keyring-{number}.gpg")
        path.write_bytes(dearmour(raw) if raw.lstrip().startswith(b"-----BEGIN") else raw)
        rings.append(str(path))
    if not rings:
        raise UsageError(
            f"there is no keyring to check {where} with",
            hint="install debian-archive-keyring, or set workspace.debian.keyring",
        )
    return rings


def dearmour(data: bytes) -> bytes:
    """The packets of all ASCII-armoured blocks (RFC 9580, section 6); checksums are not looked at."""
    import base64
    import binascii

    packets = b""
    for block in re.findall(rb"-----BEGIN PGP [A-Z ]+-----(.*?)-----END PGP", data.replace(b"\r\n", b"\n"), re.DOTALL):
        _, _, body = block.partition(b"\n\n")
        lines = [line for line in body.split(b"\n") if line and not line.startswith(b"=")]
        try:
            packets += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error:
            raise UsageError("an armoured keyring cannot be read", hint="check workspace.debian.keyring") from None
    return packets


def _gpgv(data: bytes, rings: list[str], signers: tuple[str, ...], where: str, folder: str) -> bytes:
    import subprocess

    signed, text = Path(folder, "InRelease"), Path(folder, "text")
    signed.write_bytes(data)
    command = ["gpgv", "--homedir", folder, "--status-fd", "1", "--weak-digest", "SHA1", "--output", str(text)]
    command += [word for ring in rings for word in ("--keyring", ring)]
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run([*command, str(signed)], capture_output=True, check=False, env=environment)
    log = done.stderr.decode("utf-8", "replace").strip()
    good: list[str] = []
    for word, rest in _STATUS.findall(done.stdout.decode("utf-8", "replace")):
        if word in _BAD:
            raise _bad(f"the signature of {where} {_BAD[word]}", log)
        if word == "ERRSIG" and rest.split()[5:6] == [_UNKNOWN_ALGORITHM]:
            raise _bad(f"the signature of {where} is by an algorithm that gpgv does not know", log)
        if word == "VALIDSIG":
            # The first field is the fingerprint of the signing (sub)key, the last that of its primary key.
            fields = rest.split()
            good += [fields[0], fields[-1]]
    # gpgv also fails where one of several signatures is by an unknown key, which is usual while keys change.
    if not good or (signers and not set(signers) & set(good)):
        raise _bad(f"{where} is not signed by a trusted key", log)
    try:
        return text.read_bytes()
    except FileNotFoundError:
        raise _bad(f"{where} is not a clear-signed file", log) from None


def _sqv(data: bytes, rings: list[str], signers: tuple[str, ...], where: str, folder: str) -> bytes:
    import subprocess

    text, packets = split(data, where)
    message, detached = Path(folder, "message"), Path(folder, "signature")
    message.write_bytes(text)
    detached.write_bytes(packets)
    keyrings = [word for ring in rings for word in ("--keyring", ring)]
    done = subprocess.run(["sqv", *keyrings, str(detached), str(message)], capture_output=True, text=True, check=False)
    good = done.stdout.split()
    if done.returncode or not good or (signers and not set(signers) & set(good)):
        raise _bad(f"{where} is not signed by a trusted key", done.stderr.strip())
    return text


def split(data: bytes, where: str) -> tuple[bytes, bytes]:
    """(text, armoured signature) of a file that is one clear-signed message and nothing else (RFC 9580, section 7)."""
    lines = data.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    try:
        start, middle = lines.index(b""), lines.index(_SIGNATURE)
    except ValueError:
        raise _bad(f"{where} is not a clear-signed file") from None
    if lines[0] != _BEGIN or lines[-1] != _END or start > middle or lines.count(_BEGIN) != 1:
        raise _bad(f"{where} is not a clear-signed file")
    text = [line[2:] if line.startswith(b"- ") else line for line in lines[start + 1 : middle]]
    return b"\n".join(line.rstrip(b" \t") for line in text), b"\n".join(lines[middle:]) + b"\n"


def _bad(message: str, log: str = "") -> BuildrulesError:
    return IntegrityError(
        message,
        hint="the archive or the way to it cannot be trusted; check workspace.debian.mirror and keyring",
        log=log or None,
    )
