"""The page of `buildrules report` in a real browser: views, links, search, keys, hostile names, what it may do."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.report.conftest import EVIL_FILE, watched
from tests.support.space import APP, CODE, Space

VIEWS = ("", "targets", "layers", "time", "why", "steps", "tests", "push")


def go(page: Page, *parts: str) -> None:
    """Follow a link to a place of the page."""
    page.evaluate("hash => { location.hash = hash }", "#/" + "/".join(quote(part, safe="") for part in parts))


def point_at(page: Page, text: str) -> None:
    """Move the pointer over the drawing until what is said of something there has this text in it."""
    box = page.locator("canvas").bounding_box()
    assert box
    for x in range(2, 100, 3):
        for y in range(5, 100, 3):
            page.mouse.move(box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100)
            if page.locator(".tip").is_visible() and text in page.locator(".tip").inner_text():
                return
    raise AssertionError(f"nothing there says {text!r}")


def details(page: Page, title: str) -> None:
    expect(page.locator("aside h1")).to_have_text(title)


def test_every_view_opens_in_both_schemes(browser: Browser, reported: Space, scheme: str) -> None:
    with watched(browser, reported.root / "report.html", scheme) as page:
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        for view in VIEWS:
            page.locator(f'nav a[data-view="{view}"]').click()
            expect(page.locator(f'nav a[data-view="{view}"]')).to_have_attribute("aria-current", "page")
            expect(page.locator("main > *").first).to_be_visible()
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") != scheme
        assert page.title() == "ws: buildrules report"


def test_why_something_was_rebuilt_is_two_clicks_away(page: Page) -> None:
    page.get_by_role("link", name="Why", exact=True).click()
    page.get_by_role("row").filter(has_text="//:code").get_by_role("link", name=CODE).click()
    details(page, CODE)
    expect(page.locator("aside")).to_contain_text(f"file {EVIL_FILE} is new")


def test_who_shares_a_layer_is_two_clicks_away(page: Page) -> None:
    page.get_by_role("link", name="Layers", exact=True).click()
    page.get_by_role("row").filter(has_text=CODE).get_by_role("link", name=CODE).click()
    details(page, CODE)
    expect(page.locator("aside")).to_contain_text("Shared by 2 packages")
    page.locator("aside").get_by_role("link", name=APP).click()
    details(page, APP)
    expect(page.locator("aside")).to_contain_text("Image linux/amd64")


def test_what_a_push_sent_and_where_the_time_is_are_one_click_away(page: Page) -> None:
    page.get_by_role("link", name="Push", exact=True).click()
    expect(page.locator("main")).to_contain_text("2 tags moved")
    expect(page.get_by_role("row").filter(has_text=CODE).filter(has_text=APP)).to_contain_text("sent")
    page.get_by_role("link", name="Time", exact=True).click()
    expect(page.get_by_role("heading", name="Critical path")).to_be_visible()
    page.locator("tbody").first.get_by_role("link").first.click()
    expect(page.locator("aside")).to_contain_text("on the longest chain of the build")


def test_a_link_leads_to_each_kind_of_node(page: Page) -> None:
    for view, title, names in (
        ("targets", "//:env", ["//:env"]),
        ("steps", CODE, ["//:code", CODE]),
    ):
        go(page, view, *names)
        details(page, title)
    page.reload()
    details(page, CODE)
    go(page, "targets", "//:gone")
    expect(page.locator("aside")).to_have_count(0)
    go(page, "%E0%A4%A", "constructor")
    expect(page.locator("main")).to_contain_text("Where the time is")


def test_search_finds_and_is_driven_by_keys(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("second")
    expect(page.get_by_role("option").first).to_contain_text("//:second")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    details(page, "//:second")
    page.keyboard.press("4")
    expect(page.get_by_role("heading", name="Critical path")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_tables_sort_and_search(page: Page) -> None:
    go(page, "layers")
    rows = page.locator("tbody tr")
    names = page.locator("tbody tr td:first-child")
    page.get_by_role("button", name="layer", exact=False).last.click()
    first = names.all_inner_texts()
    assert first == sorted(first, key=lambda text: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", text)])
    page.locator("th button").first.click()
    assert names.all_inner_texts() == first[::-1]
    page.get_by_placeholder("Search these rows").fill("virtual env")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("virtual environment")


@pytest.mark.parametrize("view", ["targets", "layers", "time"])
def test_drawings_are_moved_by_mouse_and_keys_and_lead_to_what_they_show(page: Page, view: str) -> None:
    go(page, view)
    canvas = page.locator("canvas")
    canvas.wait_for()
    page.wait_for_function("document.querySelector('canvas').frames() > 0")
    canvas.focus()
    before = page.evaluate("document.querySelector('canvas').view.x")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('canvas').view.x") == before - 80
    page.keyboard.press("ArrowLeft")
    point_at(page, "")
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("aside h1")).to_be_visible()


def test_the_graph_shows_the_way_to_another_target(page: Page) -> None:
    go(page, "targets", "//:base")
    details(page, "//:base")
    expect(page.locator("aside")).to_contain_text("Needed by")
    point_at(page, f"{APP} → //:env → //:base")
    field = page.get_by_label("The way to another target")
    field.fill("//:second")
    field.press("Enter")
    expect(page.locator(".tools")).to_contain_text("//:second → //:env → //:base")
    assert page.url.endswith("#/targets/" + quote("//:base", safe="") + "/" + quote("//:second", safe=""))
    go(page, "targets", APP, "//:second")
    expect(page.locator(".tools")).to_contain_text("neither needs the other")


def test_hostile_names_are_text(page: Page) -> None:
    go(page, "why")
    expect(page.locator("main")).to_contain_text(EVIL_FILE)
    go(page, "steps")
    expect(page.locator("main")).to_contain_text("onerror=window.hacked=1")
    assert page.locator("img, iframe, object, embed").count() == 0
    assert page.evaluate("document.scripts.length") == 2


def test_nothing_but_the_pages_own_script_runs(browser: Browser, reported: Space) -> None:
    opened = watched(browser, reported.root / "report.html")
    with opened as page:
        page.evaluate(
            """() => {
            const made = document.createElement('script');
            made.textContent = 'window.hacked = 1';
            document.body.append(made);
            const image = document.createElement('img');
            image.setAttribute('onerror', 'window.hacked = 1');
            image.src = 'http://127.0.0.1:9/x.png';
            document.body.append(image);
            setTimeout("window.hacked = 1", 0);
            }"""
        )
        page.wait_for_timeout(200)
        assert page.evaluate("typeof window.hacked") == "undefined"
        refused = [text for text in opened.wrong if "Content Security Policy" in text]
        assert len(refused) >= 3
        opened.wrong.clear()
        opened.asked[:] = [url for url in opened.asked if not url.startswith("http:")]
