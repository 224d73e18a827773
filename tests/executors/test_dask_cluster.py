"""The cluster of Dask, as the tests of the executors have it: who may speak to it, what its workers are given."""

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import authority, signed
from tests.support.dask_cluster import DaskCluster
from tests.support.execute import runs, wait_for

if TYPE_CHECKING:
    from distributed import Client

pytestmark = pytest.mark.xdist_group("dask")


def client(dask: DaskCluster, certificate: Path | None = None, trusted: Path | None = None) -> "Client":
    from distributed import Client  # which every process that collects tests would wait for
    from distributed.security import Security

    mine = certificate or dask.certificate
    files = {"tls_ca_file": trusted or dask.authority, "tls_client_cert": mine}
    files["tls_client_key"] = mine.with_suffix(".key")
    security = Security(require_encryption=True, **{name: str(path) for name, path in files.items()})
    return Client(dask.address, security=security, timeout=20, set_as_default=False)


def test_a_worker_has_what_it_is_given_and_a_store_of_its_own(dask: DaskCluster) -> None:
    with client(dask) as asking:
        for number in (1, 2, 3):
            said = asking.submit(subprocess.check_output, ["/usr/bin/env"], workers=f"w{number}", pure=False)
            given = dict(line.split("=", 1) for line in said.result().decode().splitlines())
            assert (given["GIVEN"], given["BUILDRULES_CACHE_DIR"]) == ("1", str(dask.store(number)))
            shell = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}  # and what Python sets
            own = {name for name in given if name.startswith(("DASK_", "__DASK_"))}
            assert set(given) - shell - own == {"PATH", "GIVEN", "BUILDRULES_CACHE_DIR"}


def test_who_has_no_certificate_of_the_authority_is_refused(dask: DaskCluster, tmp_path: Path) -> None:
    from distributed import Client

    stranger = signed(tmp_path, "stranger", authority(tmp_path, "other"))
    with pytest.raises(OSError):
        client(dask, certificate=stranger)
    with pytest.raises(OSError):
        Client(dask.address.replace("tls", "tcp"), timeout=3)
    with pytest.raises(OSError):
        client(dask, trusted=tmp_path / "other.pem")


def test_another_worker_goes_on_after_a_kill(dask: DaskCluster) -> None:
    command = ["/bin/sleep", "1.501"]
    with client(dask) as asking:
        asked = asking.submit(subprocess.check_call, command, pure=False, resources={"cpu": 2})
        wait_for(lambda: runs(command))
        names = {address: one["name"] for address, one in asking.scheduler_info()["workers"].items()}
        (number,) = (int(names[address][1:]) for address, keys in asking.processing().items() if keys)
        dask.kill_worker(number)
        wait_for(lambda: not runs(command))
        assert asked.result() == 0
        dask.start_worker(number, {"MORE": "2"})
        asking.wait_for_workers(3)
        assert asking.submit(os.getenv, "MORE", workers=f"w{number}").result() == "2"


def test_a_scheduler_comes_back_and_the_workers_with_it(dask: DaskCluster) -> None:
    dask.kill_scheduler()
    dask.start_scheduler()
    with client(dask) as asking:
        names = {one["name"] for one in asking.scheduler_info()["workers"].values()}
        assert names == {"w1", "w2", "w3"}
        assert asking.submit(pow, 2, 5).result() == 32
