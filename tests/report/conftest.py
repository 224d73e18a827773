"""A workspace with two packages that was built, edited, tested and pushed, and the page about it in a real Chromium."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.oci.registry.servers import registry
from tests.support.space import Space

EVIL = "src/<"
"""A folder; in it a file that would end a block of data, begin a picture, and be taken for a mark of the page's."""
EVIL_FILE = f"{EVIL}/script><img src=x onerror=window.hacked=1>{{{{script}}}}.py"
SECOND = """\
  second:
    rule: model_package
    model: :evil
    base_env: :env
    server: :server
    code: :code
  evil: {rule: model, path: weights, name: '"><img src=x onerror=window.hacked=1>'}
"""


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, template: Path) -> Space:
    """The workspace, with `report.html` in it."""
    space = Space(tmp_path_factory.mktemp("reported"), wheelhouse)
    shutil.copytree(template, space.root)
    space.append("BUILD.yaml", SECOND)
    space.run("build", "//...")
    space.write(EVIL_FILE, "x = 1\n")
    space.run("build", "//...")
    with registry(space.folder / "registry") as host:
        space.run("push", "//...", "--to", f"{host}/team")
    space.run("report")
    return space


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium; where there is none the test is skipped, but not in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        assert not os.environ.get("CI"), "chromium is not installed"
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(browser: Browser, reported: Space) -> Iterator[Page]:
    """The page; nothing may be asked of a server, and nothing may be wrong in its console."""
    with watched(browser, reported.root / "report.html") as found:
        yield found
        assert found.evaluate("typeof window.hacked") == "undefined"


class watched:
    """A page of a file, in a context of its own."""

    def __init__(self, browser: Browser, path: Path, scheme: str = "light") -> None:
        self.context = browser.new_context(
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport={"width": 1300, "height": 820},
        )
        self.path = path
        self.wrong: list[str] = []
        self.asked: list[str] = []

    def __enter__(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.wrong.append(message.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.path.as_uri())
        return page

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert self.wrong == []
            assert {url for url in self.asked if not url.startswith("data:")} == {self.path.as_uri()}
