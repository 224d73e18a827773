"""The free-threaded build (PEP 703) has an ABI and folders of its own."""

import tarfile

from tests.support.space import Space
from tests.support.standalone import mirror


def test_wheels_lie_where_it_looks_for_them(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {mirror: pythons, bytecode: false}\n")
    workspace.edit("BUILD.yaml", "    base: :base\n", "    base: :py\n")
    workspace.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.13t", base: ":base"}\n')
    mirror(workspace.root / "pythons", "3.13.2t", "3.13.2")
    workspace.run("lock", "//:app")
    assert 'python = "3.13.2t"' in (workspace.root / "pylock.env-linux-amd64.toml").read_text()
    report = workspace.build()
    workspace.run("export", "//:app", "-o", "app.tar", "--format", "oci-archive")
    names: set[str] = set()
    with tarfile.open(workspace.root / "app.tar") as image:
        for digest in (one["digest"] for one in report.targets["//:app"]["layers"]):
            blob = image.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert blob is not None
            with tarfile.open(fileobj=blob, mode="r|*") as layer:
                names.update(member.name for member in layer)
    assert "opt/venv/lib/python3.13t/site-packages/numlib/__init__.py" in names
    assert "opt/venv/bin/python3.13t" in names
    assert not any("python3.13/" in name for name in names)
