"""A workspace in a temporary directory, and the whole way from its files to resolved packages."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildrules.analysis.targets import target_graph
from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.graph.model import Graph
from buildrules.rules.catalogue import Catalogue
from buildrules.rules.package import PackageParts, check_packages
from buildrules.rules.resolve import Resolution
from buildrules.rules.resolver import resolve
from buildrules.workspace.disk import Disk
from buildrules.workspace.labels import Label
from buildrules.workspace.loader import load_workspace

BASICS = """
  os: {rule: debian_base}
  env: {rule: python_env, base: ":os", requirements: [numpy]}
  m: {rule: model, path: model}
  c: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
"""


@dataclass
class Loaded:
    """What a load gave."""

    disk: Disk
    catalogue: Catalogue
    resolution: Resolution
    graph: Graph
    packages: dict[Label, PackageParts]
    errors: list[LoadError]

    def lines(self) -> list[str]:
        """Each error on one line: place, message, hint."""
        return [f"{e.position}: {e.message}" + (f" ({e.hint})" if e.hint else "") for e in self.errors]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Loaded]:
    """Load a workspace whose root BUILD.yaml has these targets below the usual ones; other files by path."""

    def loader(
        targets: str = "", files: dict[str, str] | None = None, *, basics: bool = True, build: str = ""
    ) -> Loaded:
        text = build or "workspace: {name: acme}\ntargets:" + (BASICS if basics else "\n") + targets
        for path, content in {"BUILD.yaml": text, **(files or {})}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        problems = Problems()
        disk = Disk(str(tmp_path))
        workspace = load_workspace(disk, problems)
        catalogue = Catalogue(disk, problems)
        resolution = resolve(workspace, catalogue, problems)
        graph = target_graph(resolution.nodes, problems, known=workspace.targets)
        packages = check_packages(resolution, disk, problems)
        return Loaded(disk, catalogue, resolution, graph, packages, problems.errors)

    return loader
