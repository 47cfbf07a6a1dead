"""A real browser, and a real server in a process of its own, for every test in here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 10_000

# Small studies are drawn and annotated by what the tests of the learning loop use.
sys.path.append(str(Path(__file__).parents[1]))


@dataclass
class Served:
    """A server of drawn objects, which can be killed and started again on its port."""

    environ: dict[str, str]
    folder: Path
    count: int = 0
    names: tuple[str, ...] = ()
    port: int = 0
    address: str = ""
    process: subprocess.Popen[str] | None = None

    def show(self, count: int, names: tuple[str, ...]) -> None:
        """Serve these objects from now on; nobody has worked on them."""
        self.count, self.names = count, names
        # The same folder for all: a session holds for the study that it was opened for.
        (self.folder / "acts.jsonl").unlink(missing_ok=True)
        if self.process is None:
            self.start()
        else:
            self._ask()
            assert self._line() == "ready\n"

    def start(self) -> None:
        script = Path(__file__).with_name("serve_drawn.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environ,
        )
        self._ask()
        found = re.search(r"http://\S+:(\d+)/\S+", self._line())
        assert found is not None, "the server did not say where it is"
        self.address, self.port = found[0], int(found[1])
        self._line()
        self._wait()

    def _ask(self) -> None:
        assert self.process is not None and self.process.stdin is not None
        line = json.dumps([str(self.folder), self.count, self.names])
        print(line, file=self.process.stdin, flush=True)

    def _line(self) -> str:
        assert self.process is not None and self.process.stdout is not None
        return self.process.stdout.readline()

    def _wait(self) -> None:
        for _ in range(100):
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("the server did not answer in ten seconds")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            with self.process:
                self.process = None

    def acts(self) -> list[dict[str, Any]]:
        """What was stored, oldest first."""
        file = self.folder / "acts.jsonl"
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    def said(self) -> list[tuple[str, int]]:
        """Class and number of objects of each stored act of labelling."""
        return [(act["code"], len(act["ids"])) for act in self.acts() if act["kind"] == "label"]


@dataclass
class Opened:
    """Pages that were opened, and what went wrong in them."""

    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    allowed: re.Pattern[str] | None = None

    def page(self, address: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.on("console", lambda line: line.type == "error" and self.faults.append(line.text))
        page.goto(address)
        page.wait_for_selector(".tile img[src]")
        return page


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = Path(os.environ.get("TREPHINE_CHROMIUM", "/usr/bin/chromium"))
    if not path.exists():
        pytest.fail(
            f"expected Chromium at {path}, found nothing; on Debian: sudo apt install chromium, "
            "elsewhere set TREPHINE_CHROMIUM to the program",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of processes: nothing of this user's is read or written."""
    home = tmp_path_factory.mktemp("home")
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    return {**os.environ, **own, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def server(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process for all tests; a test that kills it starts it again."""
    served = Served(environ, tmp_path_factory.mktemp("marrow"))
    yield served
    served.kill()


@pytest.fixture
def serve(server: Served) -> Callable[..., Served]:
    """Serves objects on which nobody has worked, and gives the server."""

    def start(count: int = 300, names: tuple[str, ...] = ()) -> Served:
        server.show(count, names)
        return server

    return start


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Opened]:
    """A browser of 1280 x 800; at the end nothing may have gone wrong in it."""
    yield from _context(chromium, viewport={"width": 1280, "height": 800})


@pytest.fixture
def telephone(chromium: Browser) -> Iterator[Opened]:
    """A small screen that is touched."""
    yield from _context(chromium, viewport={"width": 400, "height": 800}, has_touch=True)


def _context(chromium: Browser, **options: Any) -> Iterator[Opened]:
    context = chromium.new_context(reduced_motion="reduce", **options)
    found = Opened(context)
    yield found
    context.close()
    # A server that is killed, or an act that is refused, is an error on the console.
    assert [
        text for text in found.faults if not (found.allowed and found.allowed.search(text))
    ] == []
