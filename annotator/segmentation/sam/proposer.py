"""Proposals by Meta's Segment Anything (Kirillov et al. 2023, arXiv:2304.02643).

Points are put to the network; of the masks that come back those are kept that it calls
good, that are stable, and that no better one repeats. In exact mode the points are a
grid, and the result is that of the package's ``SamAutomaticMaskGenerator`` (one crop, the
whole image). In guided mode (:mod:`annotator.segmentation.sam.guided`) they are where white or
bone-like ground is. Images beyond ``tile_px`` are seen in tiles.

Importing this module does not load torch: that happens in :func:`load_sam`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import ImageError
from annotator.core.hashing import short_hash
from annotator.core.objects import Image, ImageObjects
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.segmentation.sam.batches import in_batches, out_of_memory
from annotator.segmentation.sam.embedding_cache import EmbeddingCache, embedding_key
from annotator.segmentation.sam.guided import Search
from annotator.segmentation.sam.masks import Candidate, box_nms, finish
from annotator.segmentation.sam.prompts import Regions, find_ground, region_prompts
from annotator.segmentation.sam.tile_seams import moved
from annotator.segmentation.sam.tiles import Tile, merge_tiles, tiles
from annotator.settings.sam import SamSettings

if TYPE_CHECKING:
    from annotator.segmentation.sam.model import (
        CheckpointFile,
        DecodedMasks,
        Embedding,
        Prompts,
        SamModel,
    )

# Raised whenever the encoder gives other features than before.
_ENCODER = "1 float32"


class PromptModel(Protocol):
    """What makes masks from points; :class:`~annotator.segmentation.sam.model.SamModel` does."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    @property
    def device(self) -> str:
        """Torch's name of where it runs."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Run the image encoder on (H, W, 3) uint8 RGB pixels, once an image."""

    def restore(self, features: NDArray[np.float32], image_size: tuple[int, int]) -> Embedding:
        """Make the embedding again of features that were kept, (C, G, G) float32."""

    def decode(self, embedding: Embedding, prompts: Prompts, least: float) -> DecodedMasks:
        """Low-resolution masks whose predicted IoU is above `least`."""


def load_sam(checkpoint: CheckpointFile, device: str = "auto", threads: int = 0) -> SamModel:
    """Load a checkpoint, see :func:`annotator.segmentation.sam.model.load`; imports torch."""
    from annotator.segmentation.sam.model import load

    return load(checkpoint, device, threads)


@dataclass(frozen=True, slots=True)
class SamProposer:
    """Objects by SAM; a :class:`~annotator.segmentation.proposer.Proposer`.

    Parameters
    ----------
    settings : SamSettings
    model : PromptModel
    cache : EmbeddingCache, optional
        Where the encoder's results are kept between runs.
    """

    settings: SamSettings
    model: PromptModel
    cache: EmbeddingCache | None = None

    @property
    def name(self) -> str:
        """Always ``sam``."""
        return "sam"

    @property
    def fingerprint(self) -> str:
        """See :func:`sam_fingerprint`."""
        return sam_fingerprint(self.settings, self.model.sha256)

    def propose(self, appearance: Appearance, watch: Stopwatch | None = None) -> ImageObjects:
        """Return the objects of one image, those with the best predicted IoU first.

        Raises
        ------
        ImageError
            When memory runs out.
        """
        return self._propose(appearance, None, watch or Stopwatch())

    def propose_from(
        self, appearance: Appearance, regions: ImageObjects, watch: Stopwatch | None = None
    ) -> ImageObjects:
        """Return the objects of one image, asked for in another maker's regions first.

        Guided, whatever the mode: a point and a box for each region of white or
        bone-like ground, then points where such ground is still uncovered.

        Raises
        ------
        ImageError
            When memory runs out.
        """
        return self._propose(appearance, regions, watch or Stopwatch())

    def _propose(
        self, appearance: Appearance, regions: ImageObjects | None, watch: Stopwatch
    ) -> ImageObjects:
        image = appearance.image
        views = tiles(image.shape, *self._tiling(image.shape))
        watch.count("tiles", len(views))
        try:
            found = merge_tiles(self._tiles(appearance, views, regions, watch), image.shape)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            height, width = image.shape
            raise ImageError(
                f"SAM ran out of memory on this image of {width} x {height} pixels: "
                f"lower sam.points_per_batch, use fewer --workers, --device cpu, "
                f"or the smaller checkpoint vit_b"
            ) from error
        with watch("duplicates"):
            settings = self.settings
            return finish(image, found, settings.box_nms_thresh, settings.min_mask_region_area)

    def _tiling(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Side and overlap of the tiles; without tiles, of one that holds the image."""
        if not self.settings.tile_px:
            return max(shape), 0
        return self.settings.tile_px, self.settings.tile_overlap

    def _tiles(
        self,
        appearance: Appearance,
        views: Sequence[Tile],
        regions: ImageObjects | None,
        watch: Stopwatch,
    ) -> Iterator[tuple[Tile, list[Candidate]]]:
        """Ask tile by tile; boxes come in pixels of the image."""
        for tile in views:
            found = self._ask_tile(appearance, tile, regions, watch)
            if len(views) > 1:
                found = [moved(c, *tile.box[:2]) for c in self._distinct(found)]
            yield tile, found

    def _ask_tile(
        self, appearance: Appearance, tile: Tile, regions: ImageObjects | None, watch: Stopwatch
    ) -> list[Candidate]:
        image = appearance.image
        pixels = np.ascontiguousarray(image.pixels[tile.where])
        with watch("encode"):
            embedding = self._embedding(image, tile, pixels, watch)
        asker = _PromptBatches(self.model, embedding, self.settings, watch)
        if self.settings.mode == "exact" and regions is None:
            return asker.ask(_inside(grid_points(self.settings.points_per_side, image.shape), tile))
        with watch("ground"):
            # A tile is judged by its own white; where it is the whole image, all is known.
            whole = pixels.shape == image.pixels.shape
            part = Image(image.id, pixels, image.um_per_px)
            ground = find_ground(appearance if whole else Appearance(part))
            first = Regions.none() if regions is None else region_prompts(regions, tile.box, ground)
        least = self.settings.least_share * pixels.shape[0] * pixels.shape[1]
        with watch("guide"):
            return Search(ground, asker.ask, self.settings.prompts_at_most, least).run(first)

    def _embedding(
        self, image: Image, tile: Tile, pixels: NDArray[np.uint8], watch: Stopwatch
    ) -> Embedding:
        """Encode a tile, or take what was kept of it."""
        if self.cache is None:
            return self.model.encode(pixels)
        # CPU and GPU round differently: what one made is not the other's.
        maker = f"{_ENCODER} {self.model.device.partition(':')[0]}"
        key = embedding_key(image.id, tile.box, self.model.sha256, maker)
        kept = self.cache.load(key)
        if kept is not None:
            watch.count("embeddings kept", 1)
            return self.model.restore(kept, (pixels.shape[0], pixels.shape[1]))
        embedding = self.model.encode(pixels)
        self.cache.save(key, embedding.features[0].cpu().numpy())
        return embedding

    def _distinct(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Without the duplicates within a tile."""
        boxes = np.array([c.box for c in found], np.int32).reshape(-1, 4)
        scores = np.array([c.score for c in found], np.float32)
        return [found[i] for i in box_nms(boxes, scores, self.settings.box_nms_thresh)]


@dataclass(frozen=True, slots=True)
class _PromptBatches:
    """Puts prompts to the network and cuts its masks out, batch by batch."""

    model: PromptModel
    embedding: Embedding
    settings: SamSettings
    watch: Stopwatch

    def ask(
        self, points: NDArray[np.float64], boxes: NDArray[np.float64] | None = None
    ) -> list[Candidate]:
        """Good and stable masks of (N, 2) points, or points with (N, 4) boxes, in their order."""
        from annotator.segmentation.sam.model import Prompts

        prompts = Prompts(points, boxes)
        self.watch.count("prompts", len(prompts))
        size = self.settings.points_per_batch
        parts = in_batches(len(prompts), size, lambda s: self._ask(prompts[s]), self.model.device)
        found = [candidate for part in parts for candidate in part]
        self.watch.count("masks", len(found))
        return found

    def _ask(self, prompts: Prompts) -> list[Candidate]:
        from annotator.segmentation.sam.mask_upscaling import MaskRule, cut

        settings = self.settings
        rule = MaskRule(settings.stability_score_thresh, settings.stability_score_offset)
        with self.watch("decode"):
            decoded = self.model.decode(self.embedding, prompts, settings.pred_iou_thresh)
        with self.watch("masks"):
            return cut(decoded, self.embedding.resize, prompts.points, rule)


def sam_proposer(
    settings: SamSettings,
    checkpoint: CheckpointFile,
    device: str = "auto",
    cache: EmbeddingCache | None = None,
) -> SamProposer:
    """Load a checkpoint and make the proposer with it."""
    return SamProposer(settings, load_sam(checkpoint, device, settings.threads), cache)


def _inside(points: NDArray[np.float64], tile: Tile) -> NDArray[np.float64]:
    """Points of the image that lie in a tile, in the tile's own pixels."""
    x0, y0, x1, y1 = tile.box
    inside = (points >= (x0, y0)) & (points < (x1, y1))
    return points[inside.all(axis=1)] - (x0, y0)


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


# Raised whenever masks are made in another way. Where prompts go has no part in it: objects
# that a study holds stay as good as they were, and are not made anew.
_VERSION = 2


def sam_fingerprint(settings: SamSettings, sha256: str) -> str:
    """Key of everything that shapes the result: settings and weights; needs no torch.

    What is left out changes time, and masks by no more than a rounding error.
    """
    shaping = {"maker": "sam", "version": _VERSION, "weights": sha256, **asdict(settings)}
    for name in ("points_per_batch", "threads", "embeddings_mb"):
        del shaping[name]
    return short_hash(json.dumps(shaping, sort_keys=True))
