"""What a large slide costs: looking at it, and reading fields from it.

``python tests/bench/bench_slides.py [--width 40000 --height 30000]``: draws a slide of that size
with four trephine cores at 0.5 um per px into a pyramid of JPEG tiles, which is not kept, and
measures ``trephine slides info`` and fields cut from it: seconds, peak memory, and the share of a
field's time that reading it takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

UM, TILE, CORES = 0.5, 512, 4
GLASS = (243, 242, 245)
FIELDS = 8
Pixels = NDArray[np.uint8]


def drawn_piece() -> Pixels:
    """A drawn field of 2048 x 2048 px whose edges fit each other, RGB."""
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import PhantomSettings

    field = make_phantom(PhantomSettings(seed=3, shape=(1024, 1024), um_per_px=UM))
    pixels = np.asarray(field.image.pixels)
    wide = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    return np.concatenate([wide, wide[::-1]], axis=0)


class DrawnSlide:
    """Upright cores side by side on glass, known pixel by pixel and never as a whole."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._piece = drawn_piece()

    def tissue(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether tissue lies at places, (h, w) bool."""
        spacing, half = self.width / CORES, 0.14 * self.width / CORES
        off_centre = np.abs(x % spacing - spacing / 2) + 40 * np.sin(y / 150.0)
        inside = (y > 0.1 * self.height) & (y < 0.9 * self.height)
        found: NDArray[np.bool_] = (off_centre < half) & inside
        return found

    def tile(self, x: int, y: int, step: int) -> Pixels | None:
        """A tile of a level that is reduced by a step; None for glass."""
        xs = (x + np.arange(TILE)) * step
        ys = (y + np.arange(TILE)) * step
        tissue = self.tissue(xs[None, :], ys[:, None])
        if not tissue.any():
            return None
        side = len(self._piece)
        drawn = self._piece[np.ix_(ys % side, xs % side)]
        return np.where(tissue[..., None], drawn, np.array(GLASS, np.uint8)).astype(np.uint8)

    def tiles(self, step: int) -> Iterator[bytes]:
        """All tiles of a level as JPEG, row by row."""
        glass = np.full((TILE, TILE, 3), GLASS, np.uint8)
        packed = _jpeg(glass)
        for y in range(0, -(-self.height // step), TILE):
            for x in range(0, -(-self.width // step), TILE):
                found = self.tile(x, y, step)
                yield packed if found is None else _jpeg(found)

    def write(self, path: Path) -> None:
        """Write it as Aperio's scanners do."""
        said = (
            f"Aperio Image Library v12\r\n{self.width}x{self.height} ({TILE}x{TILE}) JPEG/RGB Q=80"
            f"|AppMag = 20|MPP = {UM}"
        )
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            for step in (1, 4, 16, 64):
                writer.write(
                    self.tiles(step),
                    shape=(-(-self.height // step), -(-self.width // step), 3),
                    dtype=np.uint8,
                    tile=(TILE, TILE),
                    photometric="rgb",
                    compression="jpeg",
                    description=said,
                    metadata=None,
                )


def _jpeg(pixels: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg_encode(pixels, level=80, outcolorspace="rgb"))


def command(*words: str) -> tuple[float, float]:
    """Seconds of the processor and MB at the peak of a command."""
    child = subprocess.Popen(
        [sys.executable, "-m", "annotator", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {status}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def reading(slide: Path, study: Path) -> float:
    """Seconds of the processor for reading a field of the study from its slide."""
    from annotator.imaging.read import read_image
    from annotator.study.study import Study

    with Study.open(study) as opened:
        paths = [Path(image.source) for image in opened.images()]
        settings = opened.settings.read
    read_image(paths[0], settings)
    began = time.process_time()
    for path in paths:
        read_image(path, settings)
    return (time.process_time() - began) / len(paths)


def measure(width: int, height: int) -> Iterator[tuple[str, str]]:
    """Rows of a table."""
    with tempfile.TemporaryDirectory() as place:
        slide, study = Path(place) / "case.svs", Path(place) / "study"
        began = time.perf_counter()
        DrawnSlide(width, height).write(slide)
        size = slide.stat().st_size / 1e6
        yield f"drawn, {width} x {height} px", f"{time.perf_counter() - began:.0f} s, {size:.0f} MB"
        seconds, peak = command("slides", "info", str(slide))
        yield "slides info", f"{seconds:.1f} s, {peak:.0f} MB at the peak"
        command("init", str(study))
        count = ("--count", str(FIELDS))
        seconds, peak = command("slides", "fields", str(study), str(slide), *count)
        yield f"{FIELDS} fields of 1200 x 1200 px", f"{seconds:.1f} s, {peak:.0f} MB at the peak"
        each = reading(slide, study)
        share = 100 * 2 * each * FIELDS / seconds
        yield "reading a field", f"{each:.3f} s; twice a field, {share:.1f} % of the run"


def main() -> None:
    """Print a line for each row."""
    parser = argparse.ArgumentParser(description="what a large slide costs")
    parser.add_argument("--width", type=int, default=40_000)
    parser.add_argument("--height", type=int, default=30_000)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    for row in measure(asked.width, asked.height):
        print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(root))
    main()
