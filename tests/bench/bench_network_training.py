"""Training from patches that were encoded once, beside the plain loop, on the same fields.

The plain loop is what one would write first: in every epoch it draws each patch anew, and the
frozen encoder sees it again, all in float32. Both run here on one thread, turn by turn, and
what they take for a patch is scaled up to 60 fields with the study's default settings.

Part of ``make bench``.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from bench_annotate import apart

if TYPE_CHECKING:
    from active_learning.network.patches import TruthField

FIELDS, DRAWN, SHAPE = 60, 6, (600, 800)
PATCHES, TURNS = 8, 3
"""Of each drawn field, and how often both loops take their turn."""
GOAL = 3.0


@dataclass(frozen=True, slots=True)
class SecondsPerPatch:
    """What a patch takes: to draw and encode once, then in each epoch; and in the plain loop."""

    encode: float
    cached: float
    plain: float

    def whole(self, patches: int, epochs: int) -> tuple[float, float]:
        """Seconds of a whole training: from encoded patches, and in the plain loop."""
        return patches * (self.encode + epochs * self.cached), patches * epochs * self.plain


def drawn_fields() -> list[TruthField]:
    """Phantoms with their truth."""
    from active_learning.network.patches import TruthField
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import phantom_set

    fields = []
    for settings in phantom_set(DRAWN, SHAPE):
        phantom = make_phantom(settings)
        fields.append(
            TruthField(
                f"drawn-{settings.seed}",
                f"drawn-{settings.seed}",
                phantom.image.pixels,
                phantom.classes,
                phantom.instances.astype(np.uint16),
                settings.um_per_px,
            )
        )
    return fields


def compare() -> SecondsPerPatch:
    """Both loops by turns on one thread; medians over the turns."""
    from active_learning.network.encoding import (
        encode_patches,
        onnx_encoder,
        patch_counts,
        patch_settings,
    )
    from active_learning.network.training import PatchRows, TrainingPlace, train_decoder
    from annotator.settings.network_training import NetworkTrainSettings

    settings = NetworkTrainSettings(patches=PATCHES, epochs=1, threads=1)
    fields = drawn_fields()
    counts = patch_counts(fields, PATCHES)
    patches = int(counts.sum())
    plain = PlainLoop(fields)
    encoded_seconds, cached_seconds, plain_seconds = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for turn in range(TURNS):
            folder = Path(place) / str(turn)
            began = time.perf_counter()
            encoded = encode_patches(
                fields,
                patch_settings(settings, True),
                counts,
                folder,
                seed=turn,
                encode=onnx_encoder(1),
                on_patches=lambda done, total: None,
            )
            encoded_seconds.append(time.perf_counter() - began)
            rows = PatchRows(encoded, np.arange(patches))
            began = time.perf_counter()
            train_decoder(rows, None, settings, TrainingPlace(folder))
            cached_seconds.append(time.perf_counter() - began)
            began = time.perf_counter()
            plain.epoch(turn)
            plain_seconds.append(time.perf_counter() - began)
    each = (median(found) / patches for found in (encoded_seconds, cached_seconds, plain_seconds))
    return SecondsPerPatch(*each)


class PlainLoop:
    """Draw, encode and learn, patch by patch and epoch by epoch, in float32."""

    def __init__(self, fields: list[TruthField]) -> None:
        import torch

        from active_learning.network.modules import Decoder, Encoder
        from annotator.segmentation.network.network_file import encoder_tensors

        torch.set_num_threads(1)
        self.fields, self.batch = fields, 8
        self.encoder = Encoder().eval()
        tensors = encoder_tensors().items()
        self.encoder.load_state_dict(
            {name: torch.from_numpy(np.asarray(one, np.float32)) for name, one in tensors}
        )
        self.decoder = Decoder().train()
        self.optimizer = torch.optim.AdamW(self.decoder.parameters(), 3e-3)

    def epoch(self, seed: int) -> None:
        """Learn from as many patches as the other loop."""
        import torch

        from active_learning.network.loss import network_loss
        from active_learning.network.patches import PatchSettings, draw_patch

        torch.set_num_threads(1)
        rng = np.random.default_rng(seed)
        order = rng.permutation(np.repeat(np.arange(len(self.fields)), PATCHES))
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            drawn = [draw_patch(self.fields[at], PatchSettings(), rng) for at in chosen]
            pixels = torch.from_numpy(np.stack([one.pixels for one in drawn]))
            codes, line = (
                torch.from_numpy(np.stack([getattr(one, name) for one in drawn]).astype(np.int64))
                for name in ("codes", "line")
            )
            with torch.no_grad():
                levels = self.encoder(pixels.permute(0, 3, 1, 2).float())
            loss = network_loss(self.decoder(levels), codes, line)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def measure() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is held to."""
    from annotator.settings.network_training import NetworkTrainSettings

    found: SecondsPerPatch = apart(compare)
    settings = NetworkTrainSettings()
    whole, plain = found.whole(FIELDS * settings.patches, settings.epochs)
    return [
        ("a patch: draw and encode, once", f"{1e3 * found.encode:.0f} ms", ""),
        ("a patch in an epoch, encoded before", f"{1e3 * found.cached:.0f} ms", ""),
        ("a patch in an epoch, plain loop", f"{1e3 * found.plain:.0f} ms", ""),
        (
            f"{FIELDS} fields, {settings.patches} patches each, {settings.epochs} epochs",
            f"{whole / 60:.0f} min; plain loop {plain / 60:.0f} min = {plain / whole:.1f} times",
            f"> {GOAL:g} times",
        ),
    ]
