"""Features of a 1200 x 1920 field: ours, the published notebook's way, regionprops_table.

Part of ``make bench``. All run in one process, one after the other, on one thread: the
ratios are of one run. The published way copies the full frame for each object, so it is
timed on some of the objects and given per object.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import psutil

SHAPE = (1200, 1920)
OBJECTS = 500
PUBLISHED_SAMPLE = 20
PROPERTIES = (
    "area", "bbox", "eccentricity", "solidity", "extent", "perimeter_crofton",
    "feret_diameter_max", "euler_number", "area_filled", "intensity_mean", "intensity_std",
    "intensity_min", "intensity_max",
)  # fmt: skip


def field() -> Any:
    """A phantom field."""
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import phantom_set

    return make_phantom(phantom_set(1, SHAPE)[0]).image


def cells(image: Any, count: int, seed: int = 0) -> Any:
    """As many objects as asked for: the Voronoi cells of random points, and 30 discs on them."""
    from scipy.spatial import cKDTree

    from annotator.core.objects import objects_from_labels, objects_from_masks

    rng = np.random.default_rng(seed)
    discs = 30
    points = rng.integers(0, SHAPE, (count - discs, 2))
    places = np.indices(SHAPE).reshape(2, -1).T
    labels = cKDTree(points).query(places)[1].reshape(SHAPE).astype(np.int32) + 1
    objects = objects_from_labels(image.id, labels)
    parts = [
        ((int(y), int(x)), crop)
        for (x, y, _, _), crop in zip(objects.boxes, objects.crops, strict=True)
    ]
    y, x = np.mgrid[-40:41, -40:41]
    for cy, cx in rng.integers((0, 0), (SHAPE[0] - 81, SHAPE[1] - 81), (discs, 2)).tolist():
        parts.append(((cy, cx), np.hypot(x, y) <= 40))
    return objects_from_masks(image.id, SHAPE, parts)


def published(image: Any, objects: Any) -> None:
    """The seven published features as published: a blacked-out copy of the frame each."""
    bgr = cv2.cvtColor(image.pixels, cv2.COLOR_RGB2BGR)
    for index in range(len(objects)):
        mask = objects.full_mask(index).astype(np.uint8) * 255
        canvas = cv2.bitwise_and(bgr, bgr, mask=mask)
        pink = cv2.countNonZero(cv2.inRange(canvas, (150, 50, 150), (255, 150, 255)))
        white = cv2.countNonZero(cv2.inRange(canvas, (200, 200, 200), (255, 255, 255)))
        purple = cv2.countNonZero(cv2.inRange(canvas, (100, 0, 100), (180, 100, 180)))
        shares = np.array([pink, white, purple]) / max(pink + white + purple, 1)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = max(contours, key=cv2.contourArea)
        length = max(cv2.arcLength(outline, True), 1)
        shares[1] * 4 * np.pi * cv2.contourArea(outline) / length**2
        np.std(canvas, axis=(0, 1))


def properties(image: Any, objects: Any) -> None:
    """Comparable columns from skimage, on Lab; overlaps are lost in its label map."""
    from skimage.measure import regionprops_table

    from annotator.imaging.white import to_lab

    regionprops_table(objects.label_map(), to_lab(image.pixels), properties=PROPERTIES)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds, and memory at the peak above that before, MB."""
    process, peak, done = psutil.Process(), 0, threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = resource.getrusage(resource.RUSAGE_SELF)
    work()
    end = resource.getrusage(resource.RUSAGE_SELF)
    done.set()
    watcher.join()
    seconds = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    return seconds, max(peak - before, 0) / 2**20


def measure() -> list[tuple[str, int, int, float, float]]:
    """Name, columns, objects, CPU seconds (least of three) and peak MB of each way."""
    from annotator.imaging.appearance import Appearance
    from annotator.settings.annotation import DescribeSettings
    from features.describe import describe, feature_names

    cv2.setNumThreads(1)
    image = field()
    rows = []

    def described(image: Any, objects: Any, settings: DescribeSettings) -> None:
        """With nothing known of the image yet."""
        describe(Appearance(image), objects, settings)

    some = cells(image, OBJECTS)
    sample = some.select(np.arange(0, len(some), len(some) // PUBLISHED_SAMPLE))
    ours, seven = DescribeSettings(), DescribeSettings("bambo")
    for name, columns, objects, work, repeats in (
        ("trephine", len(feature_names(ours)), some, partial(described, settings=ours), 3),
        (
            "trephine, 2,500 small ones",
            len(feature_names(ours)),
            cells(image, 2500),
            partial(described, settings=ours),
            3,
        ),
        ("preset bambo, on crops", 7, some, partial(described, settings=seven), 3),
        ("published: a frame an object", 7, sample, published, 1),
        ("skimage regionprops_table", len(PROPERTIES) + 11, some, properties, 1),
    ):
        runs = [timed(partial(work, image, objects)) for _ in range(repeats)]
        seconds, memory = min(run[0] for run in runs), max(run[1] for run in runs)
        rows.append((name, columns, len(objects), seconds, memory))
    return rows


def compare() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and how it compares with ours."""
    ways = measure()
    ours = ways[0][3] / ways[0][2]
    return [
        (
            f"{name}: {columns} columns of {count} objects",
            f"{seconds:.2f} s, {1000 * seconds / count:.2f} ms each, {memory:.0f} MB",
            "< 1.5 s, < 500 MB" if at == 0 else f"{seconds / count / ours:.2f} x ours each",
        )
        for at, (name, columns, count, seconds, memory) in enumerate(ways)
    ]
