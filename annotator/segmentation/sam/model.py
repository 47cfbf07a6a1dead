"""SAM's network in use: encode an image, decode prompts into masks.

Imports torch at its head, as all modules of this package below it may. Nothing
imports it except :mod:`annotator.segmentation.sam.proposer`, and that one only when somebody asks
for SAM.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor

from annotator.segmentation.sam.architecture import Architecture, architecture
from annotator.segmentation.sam.checkpoint import build, choose_device, fill, read_state
from annotator.segmentation.sam.decoder import decode_tokens
from annotator.segmentation.sam.decoder_image_side import ImageSide, image_side
from annotator.segmentation.sam.encoder import encode_image
from annotator.segmentation.sam.mask_upscaling_matrices import Resize, resize_for


class CheckpointFile(Protocol):
    """What loading needs to know of a checkpoint; :mod:`.weights` makes them."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def sha256(self) -> str:
        """Its hash, 64 hex digits."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """What the decoder is asked: a foreground point each, or a point and its box.

    Parameters
    ----------
    points : (B, 2) float64
        x and y in pixels of the image.
    boxes : (B, 4) float64, or None
        ``x0 y0 x1 y1`` in pixels of the image.

    Raises
    ------
    ValueError
        When the shapes do not fit.
    """

    points: NDArray[np.float64]
    boxes: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"expected points of shape (B, 2), got {self.points.shape}")
        if self.boxes is not None and self.boxes.shape != (len(self.points), 4):
            raise ValueError(
                f"expected boxes of shape ({len(self.points)}, 4), got {self.boxes.shape}"
            )

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, part: slice) -> Prompts:
        """Some of the prompts, to decode them by batches."""
        return Prompts(self.points[part], None if self.boxes is None else self.boxes[part])


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the decoder needs of one image; made once, prompted many times.

    Parameters
    ----------
    features : (1, C, G, G) float32 tensor
        The encoder's output.
    resize : Resize
        From the decoder's masks to the image.
    input_size : (int, int)
        Height and width of the image as the encoder saw it, without padding.
    image_size : (int, int)
        Height and width of the image itself.
    side : ImageSide
        What the decoder computes of the features alone.
    """

    features: Tensor
    resize: Resize
    input_size: tuple[int, int]
    image_size: tuple[int, int]
    side: ImageSide


@dataclass(frozen=True, slots=True, eq=False)
class DecodedMasks:
    """Masks that some prompts gave, in order of prompt, then of its three masks.

    Parameters
    ----------
    low : (K, h, w) float32 tensor
        Mask logits at the decoder's resolution; the resize's h and w, so nearly all
        of the letter-box is cut off.
    scores : (K,) float32 tensor
        The network's own prediction of each mask's IoU.
    owners : (K,) int64 tensor
        Index of the prompt that gave the mask.
    """

    low: Tensor
    scores: Tensor
    owners: Tensor

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class SamModel:
    """A loaded network, ready for images.

    Parameters
    ----------
    network : segment_anything.modeling.Sam
        In evaluation mode, float32, without gradients.
    architecture : Architecture
    sha256 : str
        Of the checkpoint file: part of every key that depends on the weights.
    device : str
        ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    """

    network: Any
    architecture: Architecture
    sha256: str
    device: str

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Run the image encoder on (H, W, 3) uint8 RGB pixels, once an image.

        The longest side is resized (Pillow, bilinear) to what the encoder takes,
        then normalised and padded at the bottom or the right, as SAM was trained.

        Parameters
        ----------
        pixels : (H, W, 3) uint8
            RGB.
        """
        height, width = pixels.shape[:2]
        input_size = fit_longest((height, width), self.architecture.image_size)
        resized = PillowImage.fromarray(np.asarray(pixels)).resize(
            input_size[::-1], PillowImage.Resampling.BILINEAR
        )
        tensor = torch.from_numpy(np.array(resized)).to(self.device).permute(2, 0, 1)
        padded = self.network.preprocess(tensor[None].contiguous())
        features = encode_image(self.network.image_encoder, padded)
        return self._embedding(features, (height, width))

    @torch.inference_mode()
    def restore(self, features: NDArray[np.float32], image_size: tuple[int, int]) -> Embedding:
        """Make the embedding again of features that were kept.

        Parameters
        ----------
        features : (C, G, G) float32
            ``embedding.features[0]`` of the same network.
        image_size : (int, int)
            Height and width of the image they were made of.

        Raises
        ------
        ValueError
            When the features' shape is not this network's.
        """
        shape = self.architecture
        expected = (shape.out_chans, shape.grid, shape.grid)
        if features.shape != expected or features.dtype != np.float32:
            raise ValueError(
                f"expected features float32 {expected}, got {features.dtype} {features.shape}: "
                f"encode the image again"
            )
        # A copy: what was kept may be a read-only map of a file.
        return self._embedding(torch.tensor(features[None], device=self.device), image_size)

    def _embedding(self, features: Tensor, image_size: tuple[int, int]) -> Embedding:
        longest = self.architecture.image_size
        input_size = fit_longest(image_size, longest)
        resize = resize_for(
            image_size, input_size, longest, 4 * self.architecture.grid, features.device
        )
        encoder = self.network.prompt_encoder
        dense, position = encoder.no_mask_embed.weight[0], encoder.get_dense_pe()
        side = image_side(self.network.mask_decoder, features, dense, position)
        return Embedding(features, resize, input_size, image_size, side)

    @torch.inference_mode()
    def decode(self, embedding: Embedding, prompts: Prompts, least: float) -> DecodedMasks:
        """Masks for prompts, three for each, without those that are poor.

        Parameters
        ----------
        embedding : Embedding
        prompts : Prompts
            All decoded at once: 4 to 8 stay in a CPU's cache.
        least : float
            Only masks whose predicted IoU is above it are made; 0 or less makes all.
        """
        tokens = self._prompt_tokens(embedding, prompts)
        decoder, low_shape = self.network.mask_decoder, embedding.resize.low_shape
        return DecodedMasks(*decode_tokens(decoder, embedding.side, tokens, least, low_shape))

    def _prompt_tokens(self, embedding: Embedding, prompts: Prompts) -> Tensor:
        """Embed points, or points and boxes: (B, 2 or 3, C)."""
        scale = np.array(embedding.input_size[::-1]) / np.array(embedding.image_size[::-1])
        # Like the package, in float64 until the positional encoding; mps has none.
        dtype = torch.float32 if self.device == "mps" else torch.float64
        coords = torch.as_tensor(prompts.points * scale, dtype=dtype, device=self.device)
        labels = torch.ones(len(prompts), 1, dtype=torch.int, device=self.device)
        boxes = None
        if prompts.boxes is not None:
            corners = prompts.boxes * np.tile(scale, 2)
            boxes = torch.as_tensor(corners, dtype=dtype, device=self.device)
        tokens: Tensor
        tokens, _ = self.network.prompt_encoder(
            points=(coords[:, None, :], labels), boxes=boxes, masks=None
        )
        return tokens


def fit_longest(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width scaled so that the longer one is `longest`; never below 1.

    Examples
    --------
    >>> fit_longest((1200, 1920), 1024)
    (640, 1024)
    """
    scale = longest / max(size)
    return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))


def load(checkpoint: CheckpointFile, device: str = "auto", threads: int = 0) -> SamModel:
    """Read a checkpoint of any SAM shape and build its network.

    Parameters
    ----------
    checkpoint : CheckpointFile
        A ``.pth``, ``.pt`` or ``.safetensors`` file and its hash.
    device : str
        ``auto`` takes cuda, then mps, then cpu.
    threads : int
        Threads torch may use on the cpu, for the whole process; 0 leaves it alone.

    Raises
    ------
    WeightsError
        When the file cannot be read as weights, or is of another architecture.
    UsageError
        When the device does not exist here.
    """
    chosen = choose_device(device)
    if threads:
        torch.set_num_threads(threads)
    state = read_state(checkpoint.path)
    shape = architecture({k: tuple(v.shape) for k, v in state.items()}, checkpoint.path)
    network = build(shape)
    fill(network, state, checkpoint.path)
    return SamModel(network.to(chosen), shape, checkpoint.sha256, chosen)
