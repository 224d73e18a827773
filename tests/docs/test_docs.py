"""The documentation is part of the work: generated pages are current, links lead somewhere, snippets load."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from buildrules.analysis.loaded import Loaded
from buildrules.store.store import PARTS
from buildrules.workspace.disk import CONTENT, Disk

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md"))
    if path.is_file()
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_MARK = re.compile(r"# ((?:[\w.-]+/)*(?:BUILD|rules/[a-z0-9_]+)\.yaml)\n")
_HEADER = "workspace:\n  name: snippet\n"


@cache
def generated() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


@pytest.mark.parametrize("path", sorted(generated()), ids=lambda path: path.name)
def test_generated_pages_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated()[path], "run 'make docs'"


def prose(text: str) -> str:
    """The page without what stands in fences, which may hold brackets of its own."""
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(text), re.M):
        plain = re.sub(r"[`*]", "", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def marked(page: Path) -> list[tuple[str, str]]:
    """The YAML of a page that says which file it is: (path, text)."""
    found = []
    for language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        match = _MARK.match(text) if language == "yaml" else None
        if match:
            found.append((match[1], text))
    return found


WITH_SNIPPETS = [page for page in PAGES if marked(page)]


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_load(page: Path, tmp_path: Path) -> None:
    """The marked snippets of a page make a sound workspace; one that replaces another is loaded in its place."""
    root = tmp_path / "BUILD.yaml"
    root.write_text(_HEADER)
    written: set[str] = set()
    for path, text in marked(page):
        if path in written:
            Loaded(Disk(str(tmp_path)))
        written.add(path)
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text if path != "BUILD.yaml" or "workspace:" in text else _HEADER + text)
    disk = Disk(str(tmp_path))
    Loaded(disk)
    read = [path for path in disk.seen(CONTENT) if path.endswith("BUILD.yaml")]
    assert read == [path for path in sorted(written | {"BUILD.yaml"}) if path.endswith("BUILD.yaml")]


def test_the_page_of_the_store_has_all_its_parts() -> None:
    rows = re.findall(r"^\| `(\w+)", (ROOT / "docs/reference/store.md").read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(PARTS)


def test_there_are_snippets() -> None:
    assert len(WITH_SNIPPETS) >= 8


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pages_name_no_place_of_a_single_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:root|work|tmp|home/\w+)/", text.replace("/home/nonroot", ""))
