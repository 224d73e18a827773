"""The program that measures executors does so: a small run of it, with a real server."""

import pytest

from benchmarks.executors import main


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.xdist_group("reapi")
def test_an_engine_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--engines", "casd", "--rows", "digests", "--no-examples", "--packages", "1"])
    said = capsys.readouterr().out
    assert "| 1 packages: digests |" in said
    assert "the same: reached |" in said
