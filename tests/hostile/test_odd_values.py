"""Values of the right type that nobody means: an error that names the place, never a traceback."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from buildrules.errors import BuildrulesError, IntegrityError, LoadError, UsageError
from buildrules.locking.debian.packages import Index
from buildrules.locking.python.requirement import parse
from buildrules.oci.parts.deb import read
from buildrules.oci.source import read_document
from tests.hostile.test_bounds import deb
from tests.support.space import APP, Space

STANZA = f"""\
Package: a
Version: 1.0-1
Architecture: amd64
Filename: pool/a.deb
Size: 10
SHA256: {"a" * 64}
Depends: b (>= 1)
"""


def test_d6_an_empty_rule_file_is_an_error_with_its_place(workspace: Space) -> None:
    workspace.write("rules/tiny.yaml", "# nothing yet\n")
    for args in (("build", APP), ("help-rule", "//rules:tiny")):
        result = workspace.run(*args, code=2)
        result.said("rules/tiny.yaml:1:1: the rule file 'rules/tiny.yaml' is empty", "begin it with `rule: tiny`")


@pytest.mark.parametrize(
    "manifest",
    [
        {"schemaVersion": 2, "config": {}},
        {"schemaVersion": 2, "layers": None, "config": {}},
        {"schemaVersion": 2, "manifests": {}},
    ],
)
def test_d6_a_manifest_without_its_list_is_refused(manifest: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="malformed"):
        read_document(json.dumps(manifest).encode(), "", "base")


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": 1e400}', b'{"a": NaN}', b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_d6_a_manifest_that_is_no_json_of_use_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="is not an image manifest"):
        read_document(data, "", "base")


def test_d6_a_base_whose_manifest_has_no_layers_is_refused(workspace: Space) -> None:
    data = b'{"schemaVersion":2,"config":{"digest":"sha256:%s","size":3}}' % (b"a" * 64)
    digest = hashlib.sha256(data).hexdigest()
    workspace.write(f"base/blobs/sha256/{digest}", data)
    index = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{digest}", "size": len(data)}]}
    workspace.write("base/index.json", json.dumps(index))
    workspace.run("lock", "//:base", code=2).said("the manifest of oci-layout:base is malformed")


@pytest.mark.parametrize("size", ["²", "9" * 5000, "-1", "1_0", "٣"])
def test_d6_an_odd_size_in_packages_names_the_package(size: str) -> None:
    index = Index(STANZA.replace("Size: 10", f"Size: {size}").encode(), "main", "main/Packages")
    with pytest.raises(IntegrityError, match="main/Packages: package 'a' has an unreadable size"):
        index.named("a")


@pytest.mark.parametrize("size", ["²", "9" * 5000, "-5", "1e5"])
def test_d6_an_odd_pax_size_of_a_package_is_no_traceback(tmp_path: Path, size: str) -> None:
    record = f" size={size}\n".encode()
    length = len(record) + 1
    while length != len(str(length)) + len(record):
        length = len(str(length)) + len(record)
    data = str(length).encode() + record
    header, file = tarfile.TarInfo("./x"), tarfile.TarInfo("./usr/file")
    header.type, header.size = tarfile.XHDTYPE, len(data)
    out = io.BytesIO()
    for part in (header.tobuf(tarfile.USTAR_FORMAT), data.ljust(-(-len(data) // 512) * 512, b"\0")):
        out.write(part)
    out.write(file.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    (tmp_path / "a.deb").write_bytes(deb(out.getvalue(), ""))
    try:
        assert [entry.path for entry in read(str(tmp_path / "a.deb"), [])] == ["usr/file"]
    except BuildrulesError as error:
        assert "a.deb" in error.message


def test_d6_a_version_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(LoadError, match="holds a number of more than 1000 digits"):
        parse("mlflow==" + "9" * 5000, "/", "")
