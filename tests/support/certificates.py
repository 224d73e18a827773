"""Authorities and certificates that live for two days."""

import subprocess
from pathlib import Path


def authority(folder: Path, name: str) -> Path:
    """The certificate of a new authority, folder/NAME.pem; its key is beside it, NAME.key."""
    return _certificate(folder, name, "-addext", "basicConstraints=critical,CA:TRUE")


def signed(folder: Path, name: str, by: Path) -> Path:
    """The certificate for 127.0.0.1 of a new key, NAME.key, signed by an authority."""
    options = ("-CA", str(by), "-CAkey", str(by.with_suffix(".key")), "-addext", "subjectAltName=IP:127.0.0.1")
    return _certificate(folder, name, *options, "-addext", "basicConstraints=critical,CA:FALSE")


def _certificate(folder: Path, name: str, *options: str) -> Path:
    path = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += [*options, "-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path
