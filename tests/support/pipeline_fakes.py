"""A proposer for tests of the batch: quick, without weights, and with misfortunes on demand.

It stands at the same seam as the real ones (:class:`annotator.pipeline.proposers.ProposerSource`)
and is imported by the worker processes too. What happens is written into the image: the
red value of its first pixel.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import Image, ImageObjects, objects_from_labels
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions
from annotator.study.study import Study

FINE, BUG, NO_MEMORY, KILLED, SLOW = 120, 1, 2, 3, 4


@dataclass(frozen=True)
class BandSource:
    """Bands of the image, cut where it is white; `log` gets a line for each call."""

    version: int = 1
    log: Path | None = None
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    trouble: str = ""
    weights_sha256: str | None = None

    @property
    def fingerprint(self) -> str:
        return f"bands {self.version}"

    def make(self) -> BandProposer:
        return BandProposer(self)

    def problems(self) -> tuple[str, ...]:
        return (self.trouble,) if self.trouble else ()

    def estimate(self, shapes: Sequence[tuple[int, int]]) -> str | None:
        return self.seconds and f"about {self.seconds * len(shapes):.0f} s for {len(shapes)}"


@dataclass(frozen=True)
class BandProposer:
    source: BandSource

    @property
    def name(self) -> str:
        return "bands"

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def propose(self, appearance: Appearance, watch: Stopwatch | None = None) -> ImageObjects:
        watch = watch or Stopwatch()
        watch.count("bands", 4)
        with watch("bands"):
            return self._propose(appearance.image)

    def _propose(self, image: Image) -> ImageObjects:
        if self.source.log is not None:
            with self.source.log.open("a") as file:
                file.write(f"{image.id}\n")
        misfortune(int(image.pixels[0, 0, 0]))
        white = (image.pixels.min(axis=2) > 200).astype(np.uint8)
        count, discs = cv2.connectedComponents(white, connectivity=4)
        rows = np.arange(image.shape[0])[:, None] // 16
        return objects_from_labels(image.id, np.where(white, discs, rows + count).astype(np.int32))


def misfortune(kind: int) -> None:
    if kind == BUG:
        raise ZeroDivisionError("a mistake of ours")
    if kind == NO_MEMORY:
        raise MemoryError
    if kind == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == SLOW:
        time.sleep(600)


def field(seed: int, first: int = FINE, shape: tuple[int, int] = (64, 96)) -> NDArray[np.uint8]:
    """Pink tissue with nuclei and white discs, (H, W, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    pixels = np.full((*shape, 3), (205, 140, 190), np.uint8)
    for _ in range(60):
        at = int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0]))
        cv2.circle(pixels, at, 2, (90, 50, 140), -1)
    for _ in range(4):
        at = int(rng.integers(12, shape[1] - 12)), int(rng.integers(12, shape[0] - 12))
        cv2.circle(pixels, at, int(rng.integers(6, 11)), (245, 243, 246), -1)
    noise = rng.normal(0, 3, pixels.shape)
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    pixels[0, 0, 0] = first
    return pixels


def write_field(path: Path, seed: int, first: int = FINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), field(seed, first)[..., ::-1])
    return path


def annotate_and_tell(study: Path, images: Path, told: Connection) -> None:
    """Annotate with the real line in a process of its own, and tell every step."""
    with Study.open(study) as opened:
        result = annotate(
            opened, [str(images)], AnnotateOptions(), lambda step: told.send(step.stage)
        )
    told.send((len(result.rows), len(result.failures)))
