"""What `make demo` does on a fresh clone, and that it ends with lines that work when they are pasted."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands(*variables: str) -> str:
    """What make would run for the demo."""
    done = subprocess.run(["make", "-n", "demo", *variables], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_e_the_demo_installs_no_developer_tools(tmp_path: Path) -> None:
    said = commands(f"VENV={tmp_path}/venv")
    assert "pip install" in said
    assert "[dev]" not in said


def test_e_what_the_demo_prints_works_when_it_is_pasted() -> None:
    lines = re.findall(r'^echo "  (.*)"$', commands(), re.MULTILINE)
    assert lines[0].startswith("source .venv/bin/activate && cd examples")
    verbs = [line.split()[1] for line in lines[1:]]
    assert verbs == ["show", "run"]
    script = " && ".join([lines[0], *(f"buildrules {verb} --help" for verb in verbs)])
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for label in {line.split()[2] for line in lines[1:]}:
        folder, name = label.removeprefix("//").split(":")
        assert re.search(rf"^  {name}:", (ROOT / "examples" / folder / "BUILD.yaml").read_text(), re.MULTILINE)
