"""One set of certificates for all traffic, with a certificate authority of one's own."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from buildrules.credentials.connections import Connections
from buildrules.errors import CredentialsError
from buildrules.start.trust import VARIABLES
from buildrules.start.web import Web
from tests.support.certificates import authority, signed
from tests.support.feed import lay_index
from tests.support.quick import first_quick
from tests.support.space import APP, WHEELS, Space, wheel


class Index(NamedTuple):
    """A package index that speaks TLS, and the certificates of who vouches for it and of somebody else."""

    url: str
    authority: Path
    stranger: Path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("tls")
    vouching, stranger = authority(folder, "authority"), authority(folder, "stranger")
    server_pem = signed(folder, "server", vouching)
    files = dict(wheel(name, version, requires) for name, version, requires in WHEELS)
    www = lay_index(folder / "www", files)
    (www / "model.bin").write_bytes(b"1 2 3")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(www))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pem, folder / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Index(f"https://127.0.0.1:{server.server_port}", vouching, stranger)
        server.shutdown()
        thread.join()


@pytest.fixture
def corporate(tmp_path: Path, wheelhouse: Path, index: Index) -> Space:
    space = Space(tmp_path / "space", wheelhouse).populate()
    del space.env["UV_FIND_LINKS"]
    (space.folder / "uv.toml").write_text(f'[[index]]\nurl = "{index.url}/simple"\ndefault = true\n')
    return space


def environ(**more: Path) -> dict[str, str]:
    return dict.fromkeys(VARIABLES, "") | {name: str(path) for name, path in more.items()}


@pytest.mark.parametrize("name", first_quick(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]))
def test_a15_each_variable_serves_locking_and_fetching(corporate: Space, index: Index, name: str) -> None:
    corporate.process("lock", env=environ(**{name: index.authority}))
    corporate.process("build", APP, "--locked", env=environ(**{name: index.authority}))


def test_a15_the_first_variable_counts_for_all(corporate: Space, index: Index) -> None:
    both = environ(SSL_CERT_FILE=index.authority, REQUESTS_CA_BUNDLE=index.stranger)
    corporate.process("lock", env=both)
    corporate.process("build", APP, "--locked", env=both)
    store = str(corporate.folder / "other-store")
    swapped = environ(SSL_CERT_FILE=index.stranger, REQUESTS_CA_BUNDLE=index.authority)
    corporate.process("build", APP, "--locked", code=1, env={**swapped, "BUILDRULES_CACHE_DIR": store}).said(
        "the certificate of 127.0.0.1", "is not trusted", "SSL_CERT_FILE"
    )


def test_a15_the_workspace_has_the_first_word(corporate: Space, index: Index) -> None:
    corporate.write("corp.pem", index.authority.read_bytes())
    corporate.edit("BUILD.yaml", "  platforms", "  tls: {certificates: corp.pem}\n  platforms")
    corporate.process("lock", env=environ(SSL_CERT_FILE=index.stranger))
    corporate.process("build", APP, "--locked", env=environ(SSL_CERT_FILE=index.stranger))
    corporate.remove("corp.pem")
    store = str(corporate.folder / "other-store")
    corporate.process("build", APP, "--locked", code=1, env={**environ(), "BUILDRULES_CACHE_DIR": store}).said(
        "workspace.tls.certificates: there is no file", "corp.pem"
    )


def test_a15_an_error_of_tls_is_said_as_it_is(corporate: Space, index: Index) -> None:
    told = corporate.process("lock", code=1, env=environ(SSL_CERT_FILE=index.stranger))
    told.said("the certificate of a package index is not trusted", "workspace.tls.certificates")
    assert "system-certs" not in told.err and "native-tls" not in told.err and "credentials" not in told.err


@pytest.mark.parametrize("name", VARIABLES)
def test_a15_the_fetcher_in_images_reads_the_same(
    index: Index, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for one in VARIABLES:
        monkeypatch.delenv(one, raising=False)
    trusted = index.authority
    if name == "SSL_CERT_DIR":
        subject = ["openssl", "x509", "-noout", "-hash", "-in", str(trusted)]
        hashed = subprocess.run(subject, check=True, capture_output=True, text=True).stdout.strip()
        (tmp_path / f"{hashed}.0").write_bytes(trusted.read_bytes())
        trusted = tmp_path
    monkeypatch.setenv(name, str(trusted))
    assert Web().request(f"{index.url}/simple/", {}).status == 200
    file, folder = Connections().certificates()
    assert (folder or file) == str(trusted)


def test_a15_models_trust_the_same(corporate: Space, index: Index) -> None:
    corporate.edit("BUILD.yaml", "path: weights}", f'uri: "{index.url}/model.bin"}}')
    corporate.process("lock", "//:m", code=1, env=environ(SSL_CERT_FILE=index.stranger)).said(
        "the certificate of 127.0.0.1", "is not trusted", "SSL_CERT_FILE"
    )
    corporate.process("lock", env=environ(SSL_CERT_FILE=index.authority))
    corporate.process("build", APP, "--locked", env=environ(SSL_CERT_FILE=index.authority))


def test_a15_programs_that_are_run_here_are_told(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(index.authority))
    assert Connections().trust()["REQUESTS_CA_BUNDLE"] == str(index.authority)
    with pytest.raises(CredentialsError, match="there is no file"):
        Connections([{"certificates": "gone.pem"}], "/nowhere").certificates()
