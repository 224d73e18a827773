"""What apt's downloader says about failures."""

import pytest

from buildrules.actions.debian.transport import _failure
from buildrules.errors import FetchError, GoneError, IntegrityError

URL = "http://archive.example/pool/a/a_1~deb12u2%2B1_all.deb"
AS_APT_WRITES_IT = "http://archive.example/pool/a/a_1%7edeb12u2%2b1_all.deb"


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        ("404  Not Found [IP: 192.0.2.1 80]", GoneError),
        ("Hash Sum mismatch", IntegrityError),
        ("Could not connect to archive.example:80", FetchError),
    ],
)
def test_the_cause_is_found_however_apt_escapes_the_address(cause: str, error: type[Exception]) -> None:
    output = f"E: Failed to fetch {AS_APT_WRITES_IT}  {cause}\nE: Download Failed\n"
    found = _failure("a 1~deb12u2+1", URL, output)
    assert type(found) is error
    assert "a 1~deb12u2+1" in str(found)
