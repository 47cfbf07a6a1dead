"""Proposals by Meta's Segment Anything (Kirillov et al. 2023, arXiv:2304.02643).

A grid of points is put to the network; of the masks that come back those are kept
that it calls good, that are stable, and that no better one repeats. For the same
points the result is that of the package's ``SamAutomaticMaskGenerator`` (one crop,
the whole image), without its full-frame masks.

Importing this module does not load torch: that happens in :func:`load_sam`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ImageError, SettingsError
from annotator.objects import Image, ImageObjects
from annotator.sam_masks import Candidate, finish, pack

if TYPE_CHECKING:
    from torch import Tensor

    from annotator.sam_model import CheckpointFile, Embedding, SamModel

# Logits held at the image's size at any time: 64 MB of float32.
PIXELS_AT_ONCE = 1 << 24

PRESETS: dict[str, dict[str, float]] = {
    # As published by the Bone Marrow Adipose Tissue notebooks (25,600 points an image).
    "bambo": {
        "points_per_side": 160,
        "pred_iou_thresh": 0.85,
        "stability_score_thresh": 0.85,
        "stability_score_offset": 1.0,
        "box_nms_thresh": 0.7,
        "min_mask_region_area": 100,
    },
}


@dataclass(frozen=True, slots=True)
class SamSettings:
    """How SAM is asked, and which of its masks are kept."""

    points_per_side: int = field(
        default=32,
        metadata={"doc": "Points along each side of the grid; time grows with its square", "ge": 1},
    )
    pred_iou_thresh: float = field(
        default=0.86,
        metadata={
            "doc": "Least quality that SAM predicts for its own mask, 0..1",
            "ge": 0,
            "le": 1,
        },
    )
    stability_score_thresh: float = field(
        default=0.9,
        metadata={
            "doc": "Least IoU of a mask cut stricter and looser by the offset, 0..1",
            "ge": 0,
            "le": 1,
        },
    )
    stability_score_offset: float = field(
        default=1.0,
        metadata={"doc": "How much stricter and looser, in units of the mask's logits", "ge": 0},
    )
    box_nms_thresh: float = field(
        default=0.7,
        metadata={"doc": "Of two masks whose boxes overlap more (IoU 0..1), one goes", "ge": 0},
    )
    min_mask_region_area: int = field(
        default=100,
        metadata={"doc": "Holes and islands below this many pixels are removed; 0: none", "ge": 0},
    )
    points_per_batch: int = field(
        default=8,
        metadata={"doc": "Points decoded at once; small stays in the CPU's cache", "ge": 1},
    )
    threads: int = field(
        default=0,
        metadata={"doc": "CPU threads for SAM; 0 leaves the choice to torch", "ge": 0},
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["ge"], f.metadata.get("le")
            if not low <= value <= (float("inf") if high is None else high):
                bound = f"at least {low}" if high is None else f"between {low} and {high}"
                raise SettingsError(f"sam.{f.name} must be {bound}, got {value}")

    @classmethod
    def preset(cls, name: str) -> SamSettings:
        """Settings by name: ``default``, or ``bambo`` as published.

        Examples
        --------
        >>> SamSettings.preset("bambo").points_per_side
        160
        """
        if name == "default":
            return cls()
        if name not in PRESETS:
            known = ", ".join(["default", *PRESETS])
            raise SettingsError(f"expected a SAM preset of {known}, got {name!r}")
        return replace(cls(), **PRESETS[name])  # type: ignore[arg-type]


def sam_fingerprint(settings: SamSettings, sha256: str) -> str:
    """Key of everything that shapes the result: settings and weights; needs no torch.

    Batch size and threads are left out: they change time, and masks by no more than
    a rounding error.
    """
    shaping = {"maker": "sam", "version": 1, "weights": sha256, **asdict(settings)}
    del shaping["points_per_batch"], shaping["threads"]
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16]


class PromptModel(Protocol):
    """What a maker of masks from points offers; :class:`annotator.sam_model.SamModel` is one."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Look at an image, once."""

    def decode(self, embedding: Embedding, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Logits (B, 3, h, w) and predicted IoU (B, 3) for (B, 2) points."""

    def upscale(self, low: Tensor, embedding: Embedding) -> Tensor:
        """Bring (N, h, w) logits to the image's size."""


def load_sam(checkpoint: CheckpointFile, device: str = "auto", threads: int = 0) -> SamModel:
    """Load a checkpoint (see :func:`annotator.sam_model.load`); torch is imported here."""
    from annotator.sam_model import load

    return load(checkpoint, device, threads)


@dataclass(frozen=True, slots=True)
class SamProposer:
    """Objects by SAM from a grid of points; a :class:`~annotator.proposals.Proposer`."""

    settings: SamSettings
    model: PromptModel

    @property
    def name(self) -> str:
        """Always ``sam``."""
        return "sam"

    @property
    def fingerprint(self) -> str:
        """See :func:`sam_fingerprint`."""
        return sam_fingerprint(self.settings, self.model.sha256)

    def propose(self, image: Image) -> ImageObjects:
        """Return the objects of one image, those with the best predicted IoU first.

        Raises
        ------
        ImageError
            When memory runs out.
        """
        points = grid_points(self.settings.points_per_side, image.shape)
        try:
            embedding = self.model.encode(image.pixels)
            found = list(candidates(self.model, embedding, points, self.settings))
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            height, width = image.shape
            raise ImageError(
                f"SAM ran out of memory on this image of {width} x {height} pixels: "
                f"lower sam.points_per_batch, use fewer --workers, --device cpu, "
                f"or the smaller checkpoint vit_b"
            ) from error
        return finish(
            image, found, self.settings.box_nms_thresh, self.settings.min_mask_region_area
        )


def sam_proposer(
    settings: SamSettings, checkpoint: CheckpointFile, device: str = "auto"
) -> SamProposer:
    """Load a checkpoint and make the proposer with it."""
    return SamProposer(settings, load_sam(checkpoint, device, settings.threads))


def _out_of_memory(error: Exception) -> bool:
    # torch has one class for this on CUDA and only a text on the CPU.
    texts = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(t in str(error).lower() for t in texts)


def grid_points(per_side: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Points evenly over an image, row by row, each in the middle of its tile.

    Parameters
    ----------
    per_side : int
        Points along each side, whatever the image's proportions.
    shape : (int, int)
        Height and width in pixels.

    Returns
    -------
    (per_side ** 2, 2) float64
        x and y in pixels.

    Examples
    --------
    >>> grid_points(2, (4, 8)).tolist()
    [[2.0, 1.0], [6.0, 1.0], [2.0, 3.0], [6.0, 3.0]]
    """
    half = 1 / (2 * per_side)
    along = np.linspace(half, 1 - half, per_side)
    y, x = np.meshgrid(along, along, indexing="ij")
    points: NDArray[np.float64] = np.stack([x.ravel(), y.ravel()], axis=1) * np.array(shape[::-1])
    return points


def candidates(
    model: PromptModel,
    embedding: Embedding,
    points: NDArray[np.float64],
    settings: SamSettings,
) -> Iterator[Candidate]:
    """Yield the masks of these points that are good and stable, in order of points.

    Parameters
    ----------
    model : PromptModel
    embedding : Embedding
        Of the image, by the same model.
    points : (N, 2) float64
        x and y in pixels of the image; any points, not only a grid's.
    settings : SamSettings
    """
    height, width = embedding.image_size
    step = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, len(points), settings.points_per_batch):
        batch = points[start : start + settings.points_per_batch]
        low, quality = model.decode(embedding, batch)
        # Poor masks go before they are upscaled: that is where time and memory are.
        good = _above(quality.flatten(), settings.pred_iou_thresh)
        kept, scores = low.flatten(0, 1)[good], quality.flatten()[good].tolist()
        owners = batch.repeat(quality.shape[1], axis=0)[good.cpu().numpy()].tolist()
        for at in range(0, len(kept), step):
            here = slice(at, at + step)
            logits = model.upscale(kept[here], embedding)
            yield from _stable(logits, scores[here], owners[here], settings)


def _above(values: Tensor, threshold: float) -> Tensor:
    """Where values pass; a threshold of 0 lets all pass, as in the package."""
    return values > threshold if threshold > 0 else values == values


def _stable(
    logits: Tensor, scores: list[float], points: list[list[float]], settings: SamSettings
) -> Iterator[Candidate]:
    """Yield those of (N, H, W) logits that hold when they are cut stricter and looser."""
    offset = settings.stability_score_offset
    inner = (logits > offset).sum((1, 2))
    outer = (logits > -offset).sum((1, 2))
    stability = inner / outer
    for index, value in enumerate(stability.tolist()):
        # The comparison stays in float32, as the package makes it.
        if settings.stability_score_thresh > 0 and not bool(
            stability[index] >= settings.stability_score_thresh
        ):
            continue
        x, y = points[index]
        candidate = pack((logits[index] > 0).cpu().numpy(), scores[index], value, (x, y))
        if candidate is not None:
            yield candidate
