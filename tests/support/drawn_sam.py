"""A SAM that is right: it answers each point with the drawn masks under it."""

from dataclasses import dataclass, field

import numpy as np
import torch

from annotator.segmentation.sam.mask_upscaling_matrices import identity
from annotator.segmentation.sam.model import DecodedMasks, Embedding, Prompts


@dataclass
class DrawnModel:
    """Logits of +8 inside and -8 outside of at most three masks a point.

    It takes a tile for the part of the drawing whose pixels it is shown: the red and
    green channels say where a pixel lies (see :func:`addressed`).
    """

    masks: list[np.ndarray]
    scores: list[float]
    sha256: str = "0" * 64
    device: str = "cpu"
    asked: list[tuple[float, float]] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    encoded: int = 0

    def encode(self, pixels: np.ndarray) -> Embedding:
        self.encoded += 1
        corner = pixels[0, 0].astype(np.float32)
        return self.restore(corner.reshape(1, 1, 3), pixels.shape[:2])

    def restore(self, features: np.ndarray, image_size: tuple[int, int]) -> Embedding:
        tensor = torch.tensor(np.asarray(features))[None]
        return Embedding(tensor, identity(image_size, "cpu"), image_size, image_size, None)  # type: ignore[arg-type]

    def decode(self, embedding: Embedding, prompts: Prompts, least: float) -> DecodedMasks:
        x0, y0, _ = embedding.features[0, 0, 0].int().tolist()
        height, width = embedding.image_size
        self.asked += [(x + x0, y + y0) for x, y in prompts.points.tolist()]
        self.boxes += [] if prompts.boxes is None else prompts.boxes.tolist()
        low, scores, owners = [], [], []
        for owner, (x, y) in enumerate(prompts.points):
            for mask, score in self._under(int(y) + y0, int(x) + x0):
                if score > least:
                    low.append(16.0 * mask[y0 : y0 + height, x0 : x0 + width] - 8)
                    scores.append(score)
                    owners.append(owner)
        shape = (len(low), height, width)
        return DecodedMasks(
            torch.tensor(np.array(low, np.float32).reshape(shape)),
            torch.tensor(scores, dtype=torch.float32),
            torch.tensor(owners, dtype=torch.int64),
        )

    def _under(self, y: int, x: int) -> list[tuple[np.ndarray, float]]:
        pairs = zip(self.masks, self.scores, strict=True)
        return [(mask, score) for mask, score in pairs if mask[y, x]][:3]


def addressed(shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose red is their column and green their row; up to 256 x 256."""
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[..., 1], pixels[..., 0] = np.mgrid[: shape[0], : shape[1]]
    return pixels


def disc(y: int, x: int, radius: int, shape: tuple[int, int] = (80, 120)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 < radius**2)
