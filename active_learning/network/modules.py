"""The network in torch, for training; prediction needs none of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.segmentation.network.architecture import (
    BLOCKS,
    CHANNELS,
    DECODER_DEPTHS,
    DECODER_WIDTHS,
    LEVEL_CHANNELS,
    LEVELS,
    NORM_EPSILON,
    PIXEL_MEAN,
    PIXEL_STD,
    STEM_CHANNELS,
    InvertedBottleneck,
    same_padding,
)


class SamePaddedConvolution(nn.Conv2d):
    """A convolution whose output is its input's size divided by the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        before, after = same_padding(kernel, stride)
        self.sides = (before, after, before, after)

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        return super().forward(F.pad(values, self.sides) if any(self.sides) else values)


class EncoderBlock(nn.Module):
    """One inverted bottleneck, its norms folded into its convolutions."""

    def __init__(self, shape: InvertedBottleneck) -> None:
        super().__init__()
        if shape.expansion > 1:
            self.expand = SamePaddedConvolution(shape.inputs, shape.inner, 1)
        self.depthwise = SamePaddedConvolution(
            shape.inner, shape.inner, shape.kernel, shape.stride, shape.inner
        )
        self.project = SamePaddedConvolution(shape.inner, shape.outputs, 1)
        self.shape = shape

    def forward(self, values: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        inner = F.relu6(self.expand(values)) if self.shape.expansion > 1 else values
        result: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return result + values if self.shape.has_skip else result


class Encoder(nn.Module):
    """The frozen encoder."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = SamePaddedConvolution(3, STEM_CHANNELS, 3, 2)
        self.blocks = nn.ModuleList(EncoderBlock(shape) for shape in BLOCKS)
        for name, values in {"mean": PIXEL_MEAN, "std": PIXEL_STD}.items():
            tensor = torch.tensor(values).reshape(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)
        self.requires_grad_(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Features of pixels, (N, 3, H, W) float32 in 0..255, at five levels, finest first."""
        values = F.relu6(self.stem((pixels - self.mean) / self.std))
        levels = []
        for at, block in enumerate(self.blocks):
            values = block(values)
            if at in LEVELS:
                levels.append(values)
        return levels


class DecoderStep(nn.Module):
    """Convolve, norm, keep what is positive."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs, NORM_EPSILON)

    def forward(self, values: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return F.relu(self.norm(self.convolution(values)))


class Decoder(nn.Module):
    """The decoder: from the encoder's five levels to logits at stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1)
            for channels, width in zip(LEVEL_CHANNELS[::-1], DECODER_WIDTHS, strict=True)
        )
        self.levels = nn.ModuleList(
            _level(DECODER_WIDTHS[at] + DECODER_WIDTHS[at + 1], DECODER_WIDTHS[at + 1], depth)
            for at, depth in enumerate(DECODER_DEPTHS)
        )
        self.head = nn.Conv2d(DECODER_WIDTHS[-1], CHANNELS, 1)

    def forward(self, finest_first: list[Tensor]) -> Tensor:
        """Logits (N, 5, H, W) at the size of the finest level: four classes and the line."""
        coarsest_first = finest_first[::-1]
        values: Tensor = self.reduce[0](coarsest_first[0])
        for reduce, level, finer in zip(
            self.reduce[1:], self.levels, coarsest_first[1:], strict=True
        ):
            larger = F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
            values = level(torch.cat([larger, reduce(finer)], 1))
        logits: Tensor = self.head(values)
        return logits


def channels_last(net: nn.Module, device: str) -> None:
    """Move a network to a device, the channels of its weights last: quicker there."""
    net.to(device)
    nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)


def _level(inputs: int, width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        *(DecoderStep(inputs if not step else width, width) for step in range(depth))
    )
