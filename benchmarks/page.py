"""The page of `buildrules report` in the machine's Chromium: `python -m benchmarks page [--packages 1000]`.

Size; from the start of loading until there is something to see, and until the view is complete; frames a second while
the drawings of all targets and of all layers are dragged about, as often as the browser draws at all (60).
"""

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import table, verdict
from benchmarks.scale import Scene

RUNS = 5
SECONDS = 3
DRAG = """seconds => new Promise(done => {
  const canvas = document.querySelector('canvas');
  const began = performance.now();
  const first = canvas.frames();
  let at = 0;
  const move = () => {
    canvas.pan(Math.cos(at / 9) * 14, Math.sin(at / 9) * 14);
    at += 1;
    const took = performance.now() - began;
    if (took < seconds * 1000) requestAnimationFrame(move); else done((canvas.frames() - first) / took * 1000);
  };
  move();
})"""


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print. Arguments are those of the command line."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog="python -m benchmarks page")
    parser.add_argument("--packages", type=int, default=1000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as folder, sync_playwright() as playwright:
        scene = Scene(Path(folder), options.packages, 1, RUNS)
        page_file = scene.folder / "report.html"
        scene.build("build", "//...")
        scene.build("report", "-o", str(page_file))
        targets = scene.build("query", "//...").out.count("\n")
        size, most = page_file.stat().st_size, 250_000 + 300 * targets
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        paints, loads, frames = [], [], {"targets": 0.0, "layers": 0.0}
        for _ in range(RUNS):
            page = browser.new_page(viewport={"width": 1360, "height": 860})
            page.goto(page_file.as_uri())
            page.wait_for_selector("main > *")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
            paints.append(float(page.evaluate(paint)))
            load = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd / 1000"
            loads.append(float(page.evaluate(load)))
            page.close()
        page = browser.new_page(viewport={"width": 1360, "height": 860})
        page.goto(page_file.as_uri())
        for view in frames:
            page.evaluate("view => { location.hash = '#/' + view }", view)
            page.wait_for_selector("canvas")
            page.wait_for_timeout(500)
            frames[view] = float(page.evaluate(DRAG, SECONDS))
        browser.close()
    paint = statistics.median(paints)
    rows = [
        ("size", f"{size:,} B of {targets:,} targets", f"{most:,} B: {verdict(size <= most)}"),
        ("first paint with content", f"{paint:.2f} s", f"1 s: {verdict(paint <= 1)}"),
        ("all of the first view", f"{statistics.median(loads):.2f} s", ""),
    ]
    for view, rate in frames.items():
        rows.append((f"dragging the drawing of all {view}", f"{rate:.0f} frames/s", f"30: {verdict(rate >= 30)}"))
    table(f"The page of {options.packages:,} packages", rows)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
