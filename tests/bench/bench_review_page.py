"""The review page in Chromium, by an earlier commit and by this tree: first tiles, and frames.

    python tests/bench/bench_review_page.py STUDY_OF_THE_EARLIER_COMMIT

Each tree serves a copy of the study by itself, in turns. A first visit: nothing is made ahead,
the browser is new, and the page is opened as soon as the server says its address; it ends when
all tiles in sight are decoded. A frame: the list is scrolled by a third of a row each frame,
and the time between frames is taken, and with it that of the page's own work (from the
beginning of a frame to the first task after it was drawn). Processor time is that of all of
the browser's processes, or of the server: it holds where other programs run beside. Needs
Chromium, see tests/browser, and Linux.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench_two_commits import COMMIT, ONE_THREAD, ROOT, checked_out
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

CHROMIUM = Path(os.environ.get("TREPHINE_CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
FRAMES = 120
Figures = dict[str, list[float]]

ALL_TILES = """() => {
  const grid = document.getElementById("grid").getBoundingClientRect();
  const seen = [...document.querySelectorAll(".tile img")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.bottom > grid.top && box.top < grid.bottom;
  });
  return seen.length > 0 && seen.every((one) => one.src && one.complete && one.naturalWidth);
}"""

SCROLL = """(frames) => new Promise((done) => {
  const grid = document.getElementById("grid");
  const between = [], own = [];
  let last = 0;
  const frame = (now) => {
    if (last) between.push(now - last);
    last = now;
    const begun = performance.now();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => own.push(performance.now() - begun);
    if (between.length >= frames) return setTimeout(() => done([between, own]), 50);
    grid.scrollTop += 50;
    requestAnimationFrame(frame);
    port2.postMessage(0);
  };
  requestAnimationFrame(frame);
})"""


def cpu_seconds(parent: int) -> float:
    """User and system time of a process and of all that come from it."""
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append((int(path.parent.name), path.read_text().rpartition(")")[2].split()))
        except OSError:
            continue  # It has ended.
    family = {parent}
    # A child has a larger number than its parent, until numbers begin again.
    for number, fields in sorted(stats, key=lambda one: one[0]):
        if int(fields[1]) in family:
            family.add(number)
    ticks = sum(int(one[11]) + int(one[12]) for number, one in stats if number in family)
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(root: Path, study: Path) -> Iterator[tuple[str, float, int]]:
    """The address of a study that a tree serves, the seconds until it was said, the process."""
    command = [sys.executable, "-m", "annotator", "review", str(study), "--no-browser"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--author", "bench"],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        cwd=study.parent,
    )
    try:
        found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
        if found is None:
            raise RuntimeError(f"{root}: the server did not begin")
        yield found[0], time.perf_counter() - begun, process.pid
        process.send_signal(signal.SIGINT)
        process.wait(30)
    finally:
        process.kill()
        process.communicate()


def visit(browser: Browser, address: str) -> tuple[Page, float]:
    """A page in a browser that knows nothing of it, and the seconds until its tiles are seen."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_function(ALL_TILES, timeout=60_000, polling=20)
    return page, time.perf_counter() - begun


def measure_tree(browser: Browser, root: Path, study: Path, figures: Figures) -> None:
    """A first visit, a second one, and a walk through the list."""
    shutil.rmtree(study / "cache" / "review", ignore_errors=True)
    with served(root, study) as (address, start, server):
        before = cpu_seconds(server), cpu_seconds(os.getpid())
        page, first = visit(browser, address)
        of_server, of_all = cpu_seconds(server) - before[0], cpu_seconds(os.getpid()) - before[1]
        scrolled = cpu_seconds(os.getpid()) - cpu_seconds(server)
        between, own = page.evaluate(SCROLL, FRAMES)
        scrolled = cpu_seconds(os.getpid()) - cpu_seconds(server) - scrolled
        page.context.close()
        page, second = visit(browser, address)
        page.context.close()
    spent = {
        "until the server answers, s": start,
        "first tiles, first visit, s": first,
        "first visit, processor time of the server, s": of_server,
        "first visit, processor time of the browser, s": of_all - of_server,
        "first tiles, second visit, s": second,
        "a frame while scrolling, ms": median(between),
        "the page's own work in it, ms": median(own),
        "processor time of the browser in it, ms": 1000 * scrolled / FRAMES,
    }
    for what, value in spent.items():
        figures.setdefault(what, []).append(value)


def measure(asked: Any, folder: Path, root: Path) -> Table:
    """All rounds of both trees."""
    trees = {"earlier": (root, {}), "today": (ROOT, {})}
    for name in trees:
        shutil.copytree(asked.study, folder / name)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for _ in range(asked.rounds):
            for name, (tree, figures) in trees.items():
                measure_tree(browser, tree, folder / name, figures)
        browser.close()
    title = f"medians of {asked.rounds} rounds (range); {os.getloadavg()[0]:.0f} processes waiting"
    table = Table("what", COMMIT, "today", title=title)
    for what in trees["today"][1]:
        table.add_row(what, *(said(figures[what]) for _, figures in trees.values()))
    return table


def said(values: list[float]) -> str:
    """Median and range."""
    return f"{median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="the review page of two commits")
    parser.add_argument("study", type=Path, help="annotated by the earlier commit")
    parser.add_argument("--rounds", type=int, default=5, help="of both trees (5)")
    asked: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, checked_out(COMMIT) as root:
        Console(width=120).print(measure(asked, Path(place), root))


if __name__ == "__main__":
    main()
