"""Decode prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ImageSide:
    """What the decoder computes of an image's features alone."""

    features: Tensor
    position: Tensor
    dense: Tensor


def image_side(network: Any, features: Tensor) -> ImageSide:
    """Compute what every prompt on an image shares."""
    encoder = network.prompt_encoder
    dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(features.shape)
    return ImageSide(features, encoder.get_dense_pe(), dense)


def decode_tokens(
    network: Any, side: ImageSide, tokens: Tensor, least: float, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Masks."""
    low, quality = network.mask_decoder(
        image_embeddings=side.features,
        image_pe=side.position,
        sparse_prompt_embeddings=tokens,
        dense_prompt_embeddings=side.dense.expand(len(tokens), -1, -1, -1),
        multimask_output=True,
    )
    scores = quality.flatten()
    chosen = torch.nonzero(scores > least if least > 0 else scores == scores)[:, 0]
    masks = low.flatten(0, 1)[chosen, : size[0], : size[1]]
    return masks, scores[chosen], chosen // quality.shape[1]
