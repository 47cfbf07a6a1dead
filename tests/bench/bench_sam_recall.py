"""How much guided mode finds with a SAM that is right, and with how many prompts.

Part of ``make bench``, alone and as ``auto`` asks it: begun with the regions that a proposer
cut by the starter network. A trained checkpoint errs by itself; here each point is answered
with the phantom's true object under it, so that what is missed was never asked for. Held
against the objects that a point of the 64-grid falls on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_annotate
import numpy as np

SHAPE = (500, 800)
FIELDS = 14
GRID = 64
# From here on there are about as many objects as prompts that guided mode may ask.
MANY = 150
SMALLEST = 0.0001
# Fields of the set that hold the most adipocytes, drawn larger.
CROWDED, LARGE = (4, 10, 12), (720, 1150)


@dataclass
class TrueSam:
    """Answers a point with the object of a label map under it; a ``PromptModel``."""

    labels: np.ndarray
    sha256: str = "0" * 64
    device: str = "cpu"

    def encode(self, pixels: np.ndarray) -> Any:
        return self.restore(np.zeros((1, 1, 1), np.float32), self.labels.shape)

    def restore(self, features: np.ndarray, image_size: tuple[int, int]) -> Any:
        import torch

        from annotator.segmentation.sam.mask_upscaling_matrices import identity
        from annotator.segmentation.sam.model import Embedding

        resize, tensor = identity(image_size, "cpu"), torch.from_numpy(features)[None]
        return Embedding(tensor, resize, image_size, image_size, None)  # type: ignore[arg-type]

    def decode(self, embedding: Any, prompts: Any, least: float) -> Any:
        import torch

        from annotator.segmentation.sam.model import DecodedMasks

        under = labels_at(self.labels, prompts.points)
        owners = np.flatnonzero(under)
        masks = self.labels == under[owners][:, None, None]
        low = torch.from_numpy(np.where(masks, np.float32(8), np.float32(-8)))
        return DecodedMasks(low, torch.full((len(owners),), 0.95), torch.from_numpy(owners))


def labels_at(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The label under each x and y."""
    x, y = points.astype(int).T
    return labels[y, x]


def true_labels(phantom: Any) -> np.ndarray:
    """Adipocytes, pieces of bone, and connected white background, (H, W) int32."""
    import cv2

    from annotator.core.classes import BG

    white = ((phantom.classes == BG) & (phantom.instances == 0)).astype(np.uint8)
    parts = cv2.connectedComponents(white, connectivity=4)[1]
    return np.where(white > 0, phantom.instances.max() + parts, phantom.instances).astype(np.int32)


def one_field(settings: Any) -> tuple[float, int, int, int]:
    """Microns per pixel, objects that the 64-grid gives, those that guided finds, its prompts."""
    from annotator.core.progress import Stopwatch
    from annotator.imaging.appearance import Appearance
    from annotator.segmentation.sam.masks import finish, pack
    from annotator.segmentation.sam.proposer import SamProposer, grid_points
    from annotator.settings.sam import SamSettings
    from annotator.synthetic.field import make_phantom

    phantom = make_phantom(settings)
    labels = true_labels(phantom)
    sizes = np.bincount(labels.ravel())
    hit = np.unique(labels_at(labels, grid_points(GRID, SHAPE)))
    hit = hit[(hit > 0) & (sizes[hit] > SMALLEST * labels.size)]
    # Duplicates by box and small regions go from the grid's masks as from ours.
    masks = [pack(labels == n, 0.95, 1.0, (0.0, 0.0)) for n in hit.tolist()]
    asked = SamSettings()
    kept = finish(
        phantom.image,
        [mask for mask in masks if mask is not None],
        asked.box_nms_thresh,
        asked.min_mask_region_area,
    )
    wanted = hit[best_iou(kept, labels, sizes)[hit] >= 0.9]
    watch = Stopwatch()
    objects = SamProposer(asked, TrueSam(labels)).propose(Appearance(phantom.image), watch)
    best = best_iou(objects, labels, sizes)
    found = int((best[wanted] >= 0.9).sum())
    return settings.um_per_px, len(wanted), found, watch.counts["prompts"]


def best_iou(objects: Any, labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The best IoU that some object has with each label."""
    best = np.zeros(len(sizes))
    for where, crop in objects:
        inside = np.bincount(labels[where][crop], minlength=len(sizes))
        best = np.maximum(best, inside / (sizes + crop.sum() - inside))
    return best


def one_joined_field(settings: Any) -> tuple[int, int, int, int]:
    """Adipocytes and pieces of bone, those that ``auto`` has at IoU 0.9, prompts, all objects."""
    from annotator.core.progress import Stopwatch
    from annotator.imaging.appearance import Appearance
    from annotator.pipeline.network.choice import seen_by_network
    from annotator.segmentation.join import JoinedProposer
    from annotator.segmentation.sam.proposer import SamProposer, grid_points
    from annotator.segmentation.superpixel import SuperpixelProposer
    from annotator.settings.sam import SamSettings
    from annotator.study.chosen_network import chosen_network
    from annotator.synthetic.field import make_phantom

    phantom = make_phantom(settings)
    labels = true_labels(phantom)
    sizes = np.bincount(labels.ravel())
    starter = chosen_network("starter", Path(), lambda: None)
    assert starter is not None
    appearance, watch = seen_by_network(Appearance(phantom.image), starter), Stopwatch()
    sam = SamProposer(SamSettings(), TrueSam(labels))
    objects = JoinedProposer(SuperpixelProposer(), sam).propose(appearance, watch)
    large = np.flatnonzero(sizes > SMALLEST * labels.size)
    hit = np.intersect1d(large, labels_at(labels, grid_points(GRID, labels.shape)))
    things = large[(large > 0) & (large <= phantom.instances.max())]
    found = int((best_iou(objects, labels, sizes)[things] >= 0.9).sum())
    return len(things), found, watch.counts["prompts"], int((hit > 0).sum())


def joined_fields() -> list[tuple[int, int, int, int]]:
    """One row a field (see :func:`one_joined_field`): the 14, and three of many objects."""
    import torch

    from annotator.synthetic.settings import phantom_set

    torch.set_num_threads(1)
    crowded = [phantom_set(FIELDS, LARGE)[number] for number in CROWDED]
    return [one_joined_field(settings) for settings in [*phantom_set(FIELDS, SHAPE), *crowded]]


def joined_row(name: str, some: list[tuple[int, int, int, int]]) -> tuple[str, str, str]:
    """Recall and prompts an object of ``auto`` on some fields."""
    things, found, prompts, objects = np.array(some).T
    figure = (
        f"recall {found.sum() / things.sum():.4f} of {things.sum()} adipocytes and pieces of bone "
        f"(at most {things.max()} a field), {prompts.sum() / objects.sum():.2f} prompts an object"
    )
    return f"auto, SAM that is right, {name}", figure, ">= 0.99, <= 1.3"


def fields() -> list[tuple[float, int, int, int]]:
    """One row a field (see :func:`one_field`)."""
    import torch

    from annotator.synthetic.settings import phantom_set

    torch.set_num_threads(1)
    return [one_field(settings) for settings in phantom_set(FIELDS, SHAPE)]


def rows() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is held to."""
    measured = bench_annotate.apart(fields)
    joined = bench_annotate.apart(joined_fields)
    few = [row for row in measured if row[1] <= MANY]
    many = [row for row in measured if row[1] > MANY]
    height, width = SHAPE
    named = f"{{}} fields of {height} x {width} with {{}} {MANY} objects"
    return [
        summary("SAM that is right, " + named.format(len(few), "at most"), few, ">= 0.97, < 5 %"),
        summary(
            "SAM that is right, " + named.format(len(many), "more than"),
            many,
            "the prompts run out (sam.prompts_at_most)",
        ),
        joined_row(f"{FIELDS} fields of {height} x {width}", joined[:FIELDS]),
        joined_row("crowded fields of {} x {}".format(*LARGE), joined[FIELDS:]),
    ]


def summary(name: str, some: list[tuple[float, int, int, int]], goal: str) -> tuple[str, str, str]:
    """Recall of all objects, the worst field's, and prompts as a share of the 64-grid's."""
    if not some:
        return name, "none drawn", goal
    _, wanted, found, prompts = np.array(some).T
    scales = f"{min(row[0] for row in some):.2f}-{max(row[0] for row in some):.2f} um/px"
    worst = (found / np.maximum(wanted, 1)).min()
    figure = (
        f"recall {found.sum() / wanted.sum():.3f} of {wanted.sum():.0f} (worst field {worst:.2f}), "
        f"{prompts.mean():.0f} prompts = {prompts.mean() / GRID**2:.1%} of the {GRID}-grid's"
    )
    return f"{name}, {scales}", figure, goal
