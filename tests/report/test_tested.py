"""What a report and events say of tests that ran."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.report.conftest import watched
from tests.support.package_tests import TEST, answering
from tests.support.space import Space

pytestmark = [pytest.mark.network]  # the program for the image is downloaded


def test_a_failed_test_is_shown_with_what_was_answered(
    new_space: Callable[..., Space], busybox: bytes, browser: Browser
) -> None:
    space = answering(new_space(), busybox)
    space.append("BUILD.yaml", TEST.replace("numbers: [1, 2.5]", "numbers: [1, 7]"))
    events = space.folder / "events.jsonl"
    space.run("test", "//:app_test", "--runner", "rootfs", "--events", str(events), code=1)
    (told,) = [row for row in map(json.loads, events.read_text().splitlines()) if row["event"] == "test_finished"]
    assert (told["label"], told["package"], told["status"]) == ("//:app_test", "//:app", "failed")
    space.run("report")
    with watched(browser, space.root / "report.html") as page:
        expect(page.locator("main")).to_contain_text("What failed")
        page.get_by_role("link", name="Tests", exact=True).click()
        row = page.get_by_role("row").filter(has_text="//:app_test")
        expect(row).to_contain_text("failed")
        expect(row).to_contain_text("golden: ")
        row.get_by_role("link", name="//:app", exact=True).click()
        expect(page.locator("aside h1")).to_have_text("//:app")
    space.append("BUILD.yaml", TEST.replace("app_test:", "other_test:"))
    space.run("test", "//:other_test", "--runner", "rootfs")
    space.run("report")
    with watched(browser, space.root / "report.html") as page:
        page.get_by_role("link", name="Tests", exact=True).click()
        expect(page.get_by_role("row").filter(has_text="//:other_test")).to_contain_text("passed")
        row = page.get_by_role("row").filter(has_text="//:app_test")
        expect(row).to_contain_text("failed")
        row.get_by_role("link", name="//:app", exact=True).click()
        expect(page.locator("aside h1")).to_have_text("//:app")
