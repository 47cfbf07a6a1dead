"""The shape of the segmentation network: an encoder that sees, a decoder that names.

The encoder is EfficientNet-Lite0 (Tan and Le, "EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks", ICML 2019, in its variant without squeeze-and-excitation),
pretrained on ImageNet and frozen. The decoder is a U-Net's (Ronneberger, Fischer and Brox,
"U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015) on five
levels of it, at strides 2 to 32, and answers at stride 2.

Nothing here needs torch: :mod:`annotator.segmentation.network.graph` builds the network for
prediction, :mod:`active_learning.network.modules` for training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from annotator.core.classes import CLASS_NAMES

# Of RGB pixels in 0..255, as the encoder was trained.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

STEM_CHANNELS = 32
STRIDE = 32
"""Heights and widths that the network sees are multiples of it, px."""
OUTPUT_STRIDE = 2
"""Pixels of the input, along a side, that share one answer."""
LINE = len(CLASS_NAMES)
"""Channel of the output that holds the line between adipocytes that touch."""
DEPTH = LINE + 1
"""Channel of the output that holds how deep in its adipocyte a pixel lies."""
PLANES = DEPTH + 1
"""Planes of a prediction: one a class, the line, and the depth."""
CHANNELS = PLANES + 2
"""Channels of the decoder: the planes, and two that tell the scale.

These are the binary logarithm of the microns per pixel, and that of how far it may be off.
"""
CHANNELS_WITHOUT_SCALE = LINE + 1
"""Channels of networks that an earlier version trained: the classes and the line."""

DECODER_WIDTHS = (96, 64, 48, 32, 24)
"""Channels of the decoder at strides 32, 16, 8, 4 and 2."""
DECODER_DEPTHS = (2, 2, 2, 1)
"""Convolutions of the decoder at strides 16, 8, 4 and 2."""
NORM_EPSILON = 1e-5

PREDICTION_VERSION = 1
"""Raised whenever the same network would give other probabilities for the same pixels."""


@dataclass(frozen=True, slots=True)
class InvertedBottleneck:
    """One block of the encoder: widen, convolve each channel, narrow.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    expansion : int
        How many times wider it is inside.
    kernel : int
        Side of the convolution, px.
    stride : {1, 2}
    """

    inputs: int
    outputs: int
    expansion: int
    kernel: int
    stride: int

    @property
    def inner(self) -> int:
        """Channels inside."""
        return self.inputs * self.expansion

    @property
    def has_skip(self) -> bool:
        """Whether its input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs


# Repeats, expansion, kernel, stride of the first, channels of the output.
_STAGES = (
    (1, 1, 3, 1, 16),
    (2, 6, 3, 2, 24),
    (2, 6, 5, 2, 40),
    (3, 6, 3, 2, 80),
    (3, 6, 5, 1, 112),
    (4, 6, 5, 2, 192),
    (1, 6, 3, 1, 320),
)


def _blocks() -> Iterator[InvertedBottleneck]:
    channels = STEM_CHANNELS
    for repeats, expansion, kernel, stride, outputs in _STAGES:
        for index in range(repeats):
            yield InvertedBottleneck(
                channels, outputs, expansion, kernel, stride if not index else 1
            )
            channels = outputs


BLOCKS = tuple(_blocks())
"""The sixteen blocks of the encoder."""
LEVELS = (*(at - 1 for at, block in enumerate(BLOCKS) if block.stride == 2), len(BLOCKS) - 1)
"""Blocks whose outputs the decoder reads: the last one at each of the strides 2 to 32."""
LEVEL_CHANNELS = tuple(BLOCKS[at].outputs for at in LEVELS)
"""Channels of these outputs, finest first."""


def same_padding(kernel: int, stride: int) -> tuple[int, int]:
    """Pixels added before and after a side of even length, so that ``length / stride`` come out.

    The encoder was trained with padding that is one-sided where the stride is 2.

    Examples
    --------
    >>> same_padding(3, 1), same_padding(3, 2), same_padding(5, 2)
    ((1, 1), (0, 1), (1, 2))
    """
    total = kernel - stride
    return total // 2, total - total // 2


def encoder_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the encoder's tensors; norms are folded into the convolutions."""
    shapes: dict[str, tuple[int, ...]] = {"stem.weight": (STEM_CHANNELS, 3, 3, 3)}
    for at, block in enumerate(BLOCKS):
        if block.expansion > 1:
            shapes[f"blocks.{at}.expand.weight"] = (block.inner, block.inputs, 1, 1)
        shapes[f"blocks.{at}.depthwise.weight"] = (block.inner, 1, block.kernel, block.kernel)
        shapes[f"blocks.{at}.project.weight"] = (block.outputs, block.inner, 1, 1)
    biases = {name.replace(".weight", ".bias"): shape[:1] for name, shape in shapes.items()}
    return shapes | biases


def decoder_shapes(channels: int = CHANNELS) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a decoder with so many channels."""
    shapes: dict[str, tuple[int, ...]] = {}
    for at, (inputs, width) in enumerate(zip(LEVEL_CHANNELS[::-1], DECODER_WIDTHS, strict=True)):
        shapes[f"reduce.{at}.weight"] = (width, inputs, 1, 1)
        shapes[f"reduce.{at}.bias"] = (width,)
    for at, depth in enumerate(DECODER_DEPTHS):
        inputs, width = DECODER_WIDTHS[at] + DECODER_WIDTHS[at + 1], DECODER_WIDTHS[at + 1]
        for step in range(depth):
            name = f"levels.{at}.{step}"
            shapes[f"{name}.convolution.weight"] = (width, inputs if not step else width, 3, 3)
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.norm.{part}"] = (width,)
    shapes["head.weight"] = (channels, DECODER_WIDTHS[-1], 1, 1)
    shapes["head.bias"] = (channels,)
    return shapes
