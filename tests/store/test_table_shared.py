"""Many processes that open one table at once: nothing is lost, and nothing is taken for damage."""

import subprocess
import sys
from pathlib import Path

from buildrules.store.table import Table

REPOSITORY = Path(__file__).parents[2]
WRITER = """
import sys
from buildrules.store.table import Table
table = Table(sys.argv[1])
sys.stdin.readline()
for number in range(20):
    assert table.set(f"{sys.argv[2]} {number}", b"value"), number
table.close()
"""


def test_all_writes_of_processes_that_start_together_are_kept(tmp_path: Path) -> None:
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(folder), str(number)], stdin=subprocess.PIPE, cwd=REPOSITORY
            )
            for number in range(6)
        ]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"go\n")
            writer.stdin.close()
        assert [writer.wait(60) for writer in writers] == [0] * 6
        table = Table(str(folder))
        assert len(set(table.keys())) == 120
        table.close()
        assert not list(folder.glob("*.corrupt"))
