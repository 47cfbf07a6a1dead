"""What SAM's folded mask decoder computes of an image alone, once for all its prompts.

:mod:`annotator.segmentation.sam.decoder` says how the image's features are taken apart; here are
the linear layers of the part that no prompt changes.

Shapes: H heads of D channels, N features of C channels, on a grid of (G, G).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class TokenToImage:
    """The image's part where tokens attend to it.

    Parameters
    ----------
    keys : (H, D, N) tensor
        Of the base; with the position's for as long as the scale is 1.
    position : (H, D, N) tensor
        Keys of the positional encoding; empty where they are in `keys`.
    values : (H, N, D) tensor
        Of the base.
    shift : (H * D,) tensor
        The value of the shift, and the bias. (In the keys, both drop out of the softmax.)
    """

    keys: Tensor
    position: Tensor
    values: Tensor
    shift: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ImageToToken:
    """The image's part where it attends to tokens, and in the layer norm after it.

    Parameters
    ----------
    queries : (H, D, N) tensor
        Of the base; with `position` for as long as the scale is 1.
    position : (H, D, N) tensor
        Queries of the positional encoding and of the shift, and the bias; empty where
        they are in `queries`.
    square : (N,) tensor
        Mean square of the centred base.
    products : tuple of (H, D, N) tensors
        For this layer and each one before it: the centred base times what a token's
        values become in a feature; divided by C.
    constants : tuple of (N,) tensors
        The same for what any token brings along: biases and shifts.
    """

    queries: Tensor
    position: Tensor
    square: Tensor
    products: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ImageSide:
    """What every prompt on an image shares.

    Parameters
    ----------
    seen : tuple of TokenToImage
        Of each layer, and of the attention after the last one.
    seeing : tuple of ImageToToken
        Of each layer.
    constants : tuple of (C,) tensors
        Of each layer: what features gain whatever the prompt is.
    upscaled : (G, G, C) tensor
        The base after the first upscaling's linear layer; C is four pixels' channels.
    upscaled_shift : (C,) tensor
        The same of the shift, and the bias.
    """

    token_to_image: tuple[TokenToImage, ...]
    image_to_token: tuple[ImageToToken, ...]
    constants: tuple[Tensor, ...]
    upscaled: Tensor
    upscaled_shift: Tensor


def image_side(decoder: Any, features: Tensor, dense: Tensor, position: Tensor) -> ImageSide:
    """Compute what every prompt on an image shares.

    Parameters
    ----------
    decoder : segment_anything.modeling.MaskDecoder
    features : (1, C, G, G) float32 tensor
        The encoder's output.
    dense : (C,) float32 tensor
        The prompt encoder's embedding of no mask: the same everywhere.
    position : (1, C, G, G) float32 tensor
        The prompt encoder's positional encoding of the grid.
    """
    transformer = decoder.transformer
    position = position[0].flatten(1).T
    base = features[0].flatten(1).T + dense
    shift = torch.zeros_like(base[0])
    token_to_image: list[TokenToImage] = []
    image_to_token: list[ImageToToken] = []
    constants: list[Tensor] = []
    basis: list[tuple[Tensor, Tensor]] = []
    for layer in transformer.layers:
        scaled = bool(basis)
        token_to_image.append(
            _token_to_image(layer.cross_attn_token_to_image, base, position, shift, scaled)
        )
        attention, norm = layer.cross_attn_image_to_token, layer.norm4
        constants.append(shift + attention.out_proj.bias)
        basis.append((attention.out_proj.weight.T, constants[-1]))
        basis = [(centred(values), centred(constant)) for values, constant in basis]
        image_to_token.append(_image_to_token(attention, base, position, shift, scaled, basis))
        base, shift = centred(base) * norm.weight, norm.bias
        basis = [(values * norm.weight, constant * norm.weight) for values, constant in basis]
    token_to_image.append(
        _token_to_image(transformer.final_attn_token_to_image, base, position, shift, True)
    )
    weight, bias = as_linear(decoder.output_upscaling[0])
    grid = features.shape[-1]
    return ImageSide(
        tuple(token_to_image),
        tuple(image_to_token),
        tuple(constants),
        functional.linear(base, weight).view(grid, grid, -1),
        functional.linear(shift, weight, bias),
    )


def _token_to_image(
    attention: Any, base: Tensor, position: Tensor, shift: Tensor, scaled: bool
) -> TokenToImage:
    heads, key, value = attention.num_heads, attention.k_proj, attention.v_proj
    return TokenToImage(
        channels_first(functional.linear(base if scaled else base + position, key.weight), heads),
        channels_first(functional.linear(position, key.weight), heads)
        if scaled
        else base.new_empty(0),
        split(functional.linear(base, value.weight), heads),
        functional.linear(shift, value.weight, value.bias),
    )


def _image_to_token(
    attention: Any,
    base: Tensor,
    position: Tensor,
    shift: Tensor,
    scaled: bool,
    basis: list[tuple[Tensor, Tensor]],
) -> ImageToToken:
    heads, query = attention.num_heads, attention.q_proj
    own = functional.linear(base, query.weight)
    place = functional.linear(position + shift, query.weight, query.bias)
    level = centred(base)
    scaled_down = level / base.shape[1]
    return ImageToToken(
        channels_first(own if scaled else own + place, heads),
        channels_first(place, heads) if scaled else base.new_empty(0),
        level.square().mean(dim=1),
        tuple(channels_first(functional.linear(scaled_down, values), heads) for values, _ in basis),
        tuple(scaled_down @ constant for _, constant in basis),
    )


def centred(rows: Tensor) -> Tensor:
    """Rows without their mean, as a layer norm makes them."""
    return rows - rows.mean(dim=-1, keepdim=True)


def split(rows: Tensor, heads: int) -> Tensor:
    """Bring (..., H * D) to (H, all rows, D)."""
    return rows.reshape(-1, heads, rows.shape[-1] // heads).transpose(0, 1).contiguous()


def channels_first(rows: Tensor, heads: int) -> Tensor:
    """Bring (N, H * D) to (H, D, N)."""
    return rows.T.reshape(heads, -1, len(rows)).contiguous()


def as_linear(layer: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer that does what ConvTranspose2d(2, stride=2) does.

    Its outputs are, for each of the four pixels (row by row), that pixel's channels.
    """
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.weight.shape[0])
    return weight, layer.bias.repeat(4)
