"""How far a push is, how long the rest takes, and how much there is to upload."""

from __future__ import annotations

import time
from collections.abc import Callable

from annotator.core.progress import OnProgress, Progress
from export.cvat.push_payload import PushContext
from export.cvat.push_plan import Plan

UPLOADING, ANNOTATING = "uploading", "annotating"
"""Stages of a push."""
# For the estimate before anything is measured: a home connection, and PNG of stained tissue.
_BYTES_A_SECOND, _BYTES_A_PIXEL = 2e6, 1.8


class PushClock:
    """Reports how far a push is, and how long the rest takes at the pace so far."""

    def __init__(
        self, on_progress: OnProgress, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_progress = on_progress
        self._total = total
        self._done = 0
        self._clock = clock
        self._started = clock()

    def say(self, note: str) -> None:
        """Show a person a line before the next step."""
        if note:
            self._on_progress(Progress(UPLOADING, self._done, self._total, "", None, note))

    def stage(self, stage: str, name: str) -> None:
        """Report what is being done now."""
        self._on_progress(Progress(stage, self._done, self._total, name, self._left()))

    def step(self, images: int, name: str) -> None:
        """Count images as finished."""
        self._done += images
        self._total = max(self._total, self._done)
        self.stage(ANNOTATING, name)

    def _left(self) -> float | None:
        if not self._done:
            return None
        return (self._clock() - self._started) / self._done * (self._total - self._done)


def upload_estimate(context: PushContext, plan: Plan) -> str:
    """How much there is to upload and how long it may take, before anything is measured."""
    sent = {row.image_id for row in context.study.cvat.sent()}
    shapes = [context.images[i].shape for b in plan.batches for i in b.image_ids if i not in sent]
    if not shapes:
        return ""
    size = sum(height * width for height, width in shapes) * _BYTES_A_PIXEL
    minutes = size / _BYTES_A_SECOND / 60
    return (
        f"{len(shapes)} image(s) to upload, about {size / 1e6:.0f} MB: "
        f"{minutes:.1f} min at {_BYTES_A_SECOND / 1e6:.0f} MB/s; measured from the first task on"
    )
