"""The review page on some 25,000 objects: first tiles, labels in a row, tiles a second.

Part of ``make bench``. The study holds phantoms and their mirror images. The server is a
process of its own, asked over HTTP by six connections, as a browser does.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

FIELDS = 15
SHAPE = (600, 960)
SHOWN, PAGE, CONNECTIONS = 40, 500, 6
COMMAND = (sys.executable, "-m", "annotator", "review")
Row = tuple[str, str, str]


def make(folder: Path) -> None:
    """A study of phantoms and their mirror images, annotated."""
    from annotator.core.objects import Image
    from annotator.pipeline.annotate import annotate
    from annotator.pipeline.results import AnnotateOptions
    from annotator.study.study import Study
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.field_files import image_png
    from annotator.synthetic.settings import phantom_set

    paths = []
    for number, settings in enumerate(phantom_set(FIELDS, SHAPE)):
        pixels = make_phantom(settings).image.pixels
        for flip, flipped in enumerate((pixels, pixels[::-1], pixels[:, ::-1], pixels[::-1, ::-1])):
            image = Image.from_pixels(np.ascontiguousarray(flipped), settings.um_per_px)
            paths.append(folder / f"{number}-{flip}.png")
            paths[-1].write_bytes(image_png(image))
    cv2.setNumThreads(1)
    with Study.create(folder / "study") as study:
        annotate(study, [str(path) for path in paths], AnnotateOptions(), lambda step: None)


class AskedPage:
    """The page, asked as a browser would ask."""

    def __init__(self, address: str) -> None:
        import httpx

        limits = httpx.Limits(max_connections=CONNECTIONS)
        base = address.partition("?")[0]
        self._client = httpx.Client(base_url=base, limits=limits, timeout=120)
        text = self._client.get(address, follow_redirects=True).text
        found = re.search(r'name="csrf" content="([0-9a-f]+)"', text)
        if found is None:
            raise RuntimeError(f"the page did not open: {text[:200]}")
        self._client.headers["X-Trephine"] = found[1]

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """An answer as JSON."""
        return self._client.get(path, params=query).raise_for_status().json()

    def tiles(self, items: list[dict[str, Any]]) -> float:
        """Seconds until all tiles of some objects are here."""

        def tile(item: dict[str, Any]) -> None:
            self._client.get(f"/tile/{item['id']}").raise_for_status()

        begun = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(tile, items))
        return time.perf_counter() - begun

    def acts(self, path: str, bodies: list[dict[str, Any]]) -> list[float]:
        """Milliseconds of acts in a row."""
        spent = []
        for body in bodies:
            begun = time.perf_counter()
            self._client.post(path, json=body).raise_for_status()
            spent.append(1000 * (time.perf_counter() - begun))
        return spent


@contextmanager
def served(study: Path) -> Iterator[tuple[AskedPage, float]]:
    """A server, and the seconds until it answered."""
    begun = time.perf_counter()
    command = [*COMMAND, str(study), "--no-browser", "--author", "bench"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
        if found is None:
            raise RuntimeError("the server did not begin")
        page = AskedPage(found[0])
        yield page, time.perf_counter() - begun
        page.close()
        process.send_signal(signal.SIGINT)
        process.wait(30)
    finally:
        process.kill()
        process.communicate()


def opened(page: AskedPage) -> tuple[float, list[dict[str, Any]]]:
    """Seconds until the first tiles are here, from summary and queue on; the queue."""
    begun = time.perf_counter()
    page.get("/api/summary")
    items = page.get("/api/queue", name="clusters", limit=PAGE)["items"]
    page.tiles(items[:SHOWN])
    return time.perf_counter() - begun, items


def wait_for_tiles(study: Path, seconds: float = 600) -> None:
    """Until the tiles of all images are made ahead."""
    until = time.monotonic() + seconds
    while len(list((study / "cache").rglob("*.tiles"))) < 4 * FIELDS:
        if time.monotonic() > until:
            raise RuntimeError("the tiles were not made ahead in time")
        time.sleep(1)


def said(spent: list[float]) -> str:
    """The middle and the worst of some milliseconds."""
    return f"median {median(spent):.0f} ms, worst {max(spent):.0f} ms"


def measure() -> list[Row]:
    """What was measured, the figure, and what it is held to."""
    from bench_annotate import apart

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        study = Path(place) / "study"
        apart(make, Path(place))
        with served(study) as (page, start):
            objects = page.get("/api/summary")["objects"]
            first, _ = opened(page)
            rows += [
                (f"review of {objects:,} objects, until it answers", f"{start:.1f} s", ""),
                (f"first {SHOWN} tiles, none made ahead", f"{first:.2f} s", "< 1 s"),
            ]
            wait_for_tiles(study)
        with served(study) as (page, start):
            first, items = opened(page)
            rate = (len(items) - SHOWN) / page.tiles(items[SHOWN:])
            labels = [{"ids": [one["id"]], "code": "fat"} for one in items[:100]]
            many = {"ids": [one["id"] for one in items], "code": "cell"}
            rows += [
                ("the same the next day, until it answers", f"{start:.1f} s", ""),
                (f"first {SHOWN} tiles", f"{first:.2f} s", "< 1 s"),
                ("tiles a second, six connections", f"{rate:.0f}", ""),
                ("100 labels in a row", said(page.acts("/api/labels", labels)), "< 100 ms each"),
                ("100 times undo", said(page.acts("/api/undo", [{}] * 100)), "< 100 ms each"),
                (f"one act of {len(items)}", said(page.acts("/api/labels", [many])), ""),
            ]
    return rows
