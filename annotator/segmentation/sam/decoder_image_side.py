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
    token_to_image : tuple of TokenToImage
        Of each layer, and of the attention after the last one.
    image_to_token : tuple of ImageToToken
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

    A linear layer over N features costs the same here as for one prompt in the package,
    and is paid once an image instead of once a prompt.

    Parameters
    ----------
    decoder : segment_anything.modeling.MaskDecoder
    features : (1, C, G, G) float32 tensor
        The encoder's output.
    dense : (C,) float32 tensor
        The prompt encoder's embedding of no mask: the same everywhere.
    position : (1, C, G, G) float32 tensor
        The prompt encoder's positional encoding of the grid; N = G * G.

    Returns
    -------
    ImageSide
    """
    transformer = decoder.transformer
    # (N, C), as linear layers take them; the embedding of no mask is the same everywhere.
    position = position[0].flatten(1).T
    base = features[0].flatten(1).T + dense
    shift = torch.zeros_like(base[0])
    token_to_image: list[TokenToImage] = []
    image_to_token: list[ImageToToken] = []
    constants: list[Tensor] = []
    # What any feature is made of besides the base: for each layer so far, the map (D * H, C)
    # from tokens' values to channels, and the constant (C,) that comes along with them. Each
    # later layer norm changes them as it changes the features.
    basis: list[tuple[Tensor, Tensor]] = []
    for layer in transformer.layers:
        # Before the first layer norm the scale is 1, and base and position are one product.
        scaled = bool(basis)
        token_to_image.append(
            _token_to_image(layer.cross_attn_token_to_image, base, position, shift, scaled)
        )
        attention, norm = layer.cross_attn_image_to_token, layer.norm4
        # The image attends to the tokens: every feature gains this, whatever the prompt.
        constants.append(shift + attention.out_proj.bias)
        basis.append((attention.out_proj.weight.T, constants[-1]))
        # The layer norm after it, first half: subtract the mean over channels.
        basis = [(centred(values), centred(constant)) for values, constant in basis]
        image_to_token.append(_image_to_token(attention, base, position, shift, scaled, basis))
        # Second half: weight and bias. The division is each prompt's own: it is in the scale.
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
    # No bias of the keys, and no key of the shift: they add the same to all N scores of a
    # token, which a softmax does not see.
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
    # For the layer norm's mean squares: the base with itself, and with what tokens bring.
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
    """Rows (..., C) without their mean over C, as a layer norm makes them.

    Examples
    --------
    >>> centred(torch.tensor([[1.0, 3.0], [5.0, 5.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    return rows - rows.mean(dim=-1, keepdim=True)


def split(rows: Tensor, heads: int) -> Tensor:
    """Bring (..., H * D) to (H, all rows, D).

    Examples
    --------
    >>> split(torch.arange(8).reshape(2, 4), heads=2).tolist()
    [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    """
    return rows.reshape(-1, heads, rows.shape[-1] // heads).transpose(0, 1).contiguous()


def channels_first(rows: Tensor, heads: int) -> Tensor:
    """Bring (N, H * D) to (H, D, N).

    Examples
    --------
    >>> channels_first(torch.arange(8).reshape(2, 4), heads=2).tolist()
    [[[0, 4], [1, 5]], [[2, 6], [3, 7]]]
    """
    return rows.T.reshape(heads, -1, len(rows)).contiguous()


def as_linear(layer: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer that does what ConvTranspose2d(2, stride=2) does.

    Such a convolution turns each pixel into 2 x 2 of its own, which do not overlap: a
    product, and pixels whose channels lie side by side come out ready for the next one.

    Parameters
    ----------
    layer : torch.nn.ConvTranspose2d
        Of C channels to C' channels, kernel and stride 2.

    Returns
    -------
    weight : (4 * C', C) tensor
        Its outputs are, for each of the four pixels (row by row), that pixel's channels.
    bias : (4 * C',) tensor

    Examples
    --------
    >>> layer = torch.nn.ConvTranspose2d(3, 2, kernel_size=2, stride=2)
    >>> pixel = torch.ones(1, 3, 1, 1)
    >>> ours = torch.nn.functional.linear(pixel[:, :, 0, 0], *as_linear(layer)).view(2, 2, 2)
    >>> torch.allclose(ours.permute(2, 0, 1), layer(pixel)[0], atol=1e-6)
    True
    """
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.weight.shape[0])
    return weight, layer.bias.repeat(4)
