"""SAM's mask decoder, folded: the same masks as the package's, for a tenth of the work.

The decoder lets a few tokens (of the prompt and of the answer) and the image's N
features look at each other in turn. The package repeats the image's features for every
prompt and runs each linear layer over all of them. Here they are never written out.
What a prompt adds to them is of low rank, so they stay a sum,

    features = scale * base + factors.T @ rows + shift,

in which the base (N, C) and the shift (C,) are the same for every prompt, ``scale`` (N,)
comes from the layer norms, ``factors`` are the attention weights by which the features
took up the tokens, and ``rows`` is what they took up: 56 of them a layer for 7 tokens
and 8 heads. Every linear layer of the base is computed once an image
(:mod:`annotator.segmentation.sam.decoder_image_side`); every product with the features is one with
these parts.

Sums are taken in another order than in the package: results agree within some 1e-6
of their size. Shapes: B prompts, T tokens, H heads of D channels, N features of C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from annotator.segmentation.sam.decoder_image_side import (
    ImageSide,
    ImageToToken,
    TokenToImage,
    as_linear,
    centred,
    split,
)

# Attention weights below this are set to 0.
NOTHING = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The image's features after some layers, for each prompt: see the module's head.

    Parameters
    ----------
    scale : (B, 1, N) tensor
    factors : (B, M, N) tensor
        M is H * T times the layers so far.
    rows : (B, M, C) tensor
    values : tuple of (H, B * T, D) tensors
        Of each layer so far: the tokens' values, of which the rows were made.
    """

    scale: Tensor
    factors: Tensor
    rows: Tensor
    values: tuple[Tensor, ...]


def decode_tokens(
    decoder: Any, side: ImageSide, prompts: Tensor, least: float, low_shape: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Masks for embedded prompts; what is poor is dropped before its mask is made.

    Parameters
    ----------
    decoder : segment_anything.modeling.MaskDecoder
    side : ImageSide
    prompts : (B, P, C) float32 tensor
        From the prompt encoder.
    least : float
        Predicted IoU that a mask has to exceed; 0 or less lets all pass.
    low_shape : (int, int)
        Rows and columns of the masks that are of interest; the rest is not made.

    Returns
    -------
    low : (K, h, w) float32 tensor
        Logits.
    scores : (K,) float32 tensor
    owners : (K,) int64 tensor
        Index of the prompt.
    """
    if not len(prompts):
        none = prompts.new_empty(0)
        return prompts.new_empty(0, *low_shape), none, none.long()
    answer = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([answer.expand(len(prompts), -1, -1), prompts], dim=1)
    tokens, features = _transform(decoder.transformer, side, tokens)
    # The first mask is the one for when there shall be only one.
    quality = decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
    passed = quality > least if least > 0 else torch.ones_like(quality, dtype=torch.bool)
    answers = tokens[:, 2 : len(answer)]
    low = _masks(decoder, side, features, answers, passed, low_shape)
    return low, quality[passed], passed.nonzero()[:, 0]


def _transform(transformer: Any, side: ImageSide, tokens: Tensor) -> tuple[Tensor, Features]:
    """Let tokens (B, T, C) and image look at each other."""
    queries = tokens
    features: Features | None = None
    for layer, token_to_image, image_to_token, constant in zip(
        transformer.layers, side.token_to_image, side.image_to_token, side.constants, strict=False
    ):
        queries = layer.norm1(_among_themselves(layer, queries, tokens))
        attention = layer.cross_attn_token_to_image
        queries = layer.norm2(
            queries + _attend(attention, token_to_image, features, queries + tokens)
        )
        queries = layer.norm3(queries + layer.mlp(queries))
        features = _take_up(layer, image_to_token, constant, features, queries, tokens)
    if features is None:
        raise ValueError("expected a decoder of one layer at least, got none")
    attention = transformer.final_attn_token_to_image
    queries = queries + _attend(attention, side.token_to_image[-1], features, queries + tokens)
    return transformer.norm_final_attn(queries), features


def _among_themselves(layer: Any, queries: Tensor, tokens: Tensor) -> Tensor:
    first = layer.skip_first_layer_pe
    asking = queries if first else queries + tokens
    mixed: Tensor = layer.self_attn(q=asking, k=asking, v=queries)
    return mixed if first else queries + mixed


def _attend(
    attention: Any, token_to_image: TokenToImage, features: Features | None, asking: Tensor
) -> Tensor:
    """Attention of tokens (B, T, C) to the image; (B, T, C)."""
    count, length, _ = asking.shape
    heads = attention.num_heads
    asked = split(attention.q_proj(asking), heads) / math.sqrt(token_to_image.keys.shape[1])
    if features is None:
        got = torch.bmm(_softmax(torch.bmm(asked, token_to_image.keys), -1), token_to_image.values)
    else:
        scores = _scores(
            asked, token_to_image.keys, token_to_image.position, features, attention.k_proj.weight
        )
        got = _values(
            _softmax(scores, -1), token_to_image.values, features, attention.v_proj.weight
        )
    joined = got.view(heads, count, length, -1).permute(1, 2, 0, 3).flatten(2)
    answer: Tensor = attention.out_proj(joined + token_to_image.shift)
    return answer


def _softmax(scores: Tensor, dim: int) -> Tensor:
    # Sharp attention leaves weights so small that CPUs multiply them 20 times slower.
    weights: Tensor = torch.threshold_(scores.softmax(dim), NOTHING, 0.0)
    return weights


def _scores(
    asked: Tensor, base: Tensor, position: Tensor, features: Features, weight: Tensor
) -> Tensor:
    """Products of the tokens' projections with those of the features.

    Parameters
    ----------
    asked : (H, B * T, D) tensor
    base, position : (H, D, N) tensor
    features : Features
    weight : (H * D, C) tensor
        That of the projection of features.

    Returns
    -------
    (B, H * T, N) tensor
    """
    heads, _, size = base.shape
    count = len(features.factors)
    scores = base.new_empty(count, heads, asked.shape[1] // count, size)
    torch.addcmul(
        _by_prompt(torch.bmm(asked, position), count),
        _by_prompt(torch.bmm(asked, base), count),
        features.scale[:, None],
        out=scores,
    )
    # The layer goes onto the tokens instead of onto the features.
    folded = _by_prompt(torch.bmm(asked, weight.view(heads, -1, weight.shape[1])), count)
    through = torch.bmm(folded.flatten(1, 2), features.rows.transpose(1, 2))
    return scores.flatten(1, 2).baddbmm_(through, features.factors)


def _values(weights: Tensor, base: Tensor, features: Features, weight: Tensor) -> Tensor:
    """Sum the features' values by attention weights (B, H * T, N); (H, B * T, D)."""
    heads, size, channels = base.shape
    count = len(weights)
    scaled = weights.new_empty(heads, count, weights.shape[1] // heads, size)
    by_head = weights.view(count, heads, -1, size).transpose(0, 1)
    torch.mul(by_head, features.scale, out=scaled)
    carried = torch.bmm(torch.bmm(weights, features.factors.transpose(1, 2)), features.rows)
    carried = carried.view(count, heads, -1, carried.shape[-1]).transpose(0, 1).flatten(1, 2)
    per_head = weight.view(heads, channels, -1).transpose(1, 2)
    return torch.baddbmm(torch.bmm(carried, per_head), scaled.flatten(1, 2), base)


def _by_prompt(by_head: Tensor, count: int) -> Tensor:
    """View (H, B * T, X) as (B, H, T, X)."""
    return by_head.view(len(by_head), count, -1, by_head.shape[-1]).transpose(0, 1)


def _take_up(
    layer: Any,
    image_to_token: ImageToToken,
    constant: Tensor,
    features: Features | None,
    queries: Tensor,
    tokens: Tensor,
) -> Features:
    """Attention of the image to tokens (B, T, C), and the layer norm after it."""
    attention, norm = layer.cross_attn_image_to_token, layer.norm4
    count, heads = len(queries), attention.num_heads
    depth = image_to_token.queries.shape[1]
    asked = split(attention.k_proj(queries + tokens), heads) / math.sqrt(depth)
    values = split(attention.v_proj(queries), heads)
    if features is None:
        scores = _by_prompt(torch.bmm(asked, image_to_token.queries), count)
    else:
        weight = attention.q_proj.weight
        scores = _scores(asked, image_to_token.queries, image_to_token.position, features, weight)
    weights = _softmax(scores.view(count, heads, -1, scores.shape[-1]), 2).flatten(1, 2)
    per_head = attention.out_proj.weight.T.reshape(heads, depth, -1)
    taken = _by_prompt(torch.bmm(values, per_head), count).flatten(1, 2)
    # A head's weights sum to 1 over the tokens: what is the same for all rides on them.
    taken[:, : queries.shape[1]] += constant
    if features is None:
        grown = Features(weights.new_ones(1, 1, 1), weights, centred(taken), (values,))
    else:
        grown = Features(
            features.scale,
            torch.cat([features.factors, weights], dim=1),
            centred(torch.cat([features.rows, taken], dim=1)),
            (*features.values, values),
        )
    scale = torch.rsqrt(_mean_square(image_to_token, grown) + norm.eps)
    grown.factors.mul_(scale)
    return Features(
        scale * grown.scale,
        grown.factors,
        grown.rows * norm.weight,
        grown.values,
    )


def _mean_square(image_to_token: ImageToToken, features: Features) -> Tensor:
    """Mean square (B, 1, N) over the channels of features whose parts are all centred."""
    factors, rows, scale = features.factors, features.rows, features.scale
    count, _, size = factors.shape
    heads = len(image_to_token.queries)
    among = torch.bmm(rows, rows.transpose(1, 2)) / rows.shape[-1]
    length = features.values[0].shape[1] // count
    crossed = factors.new_empty(count, len(image_to_token.products), heads, length, size)
    for index, (values, product) in enumerate(
        zip(features.values, image_to_token.products, strict=True)
    ):
        crossed[:, index] = _by_prompt(torch.bmm(values, product), count)
        crossed[:, index, 0] += image_to_token.constants[index]
    crossed *= 2 * scale[:, None, None]
    mixed = crossed.view(factors.shape).baddbmm_(among, factors).mul_(factors)
    square = image_to_token.square * scale.square()
    return (mixed.sum(dim=1, keepdim=True) + square).clamp_(min=0)


def _masks(
    decoder: Any,
    side: ImageSide,
    features: Features,
    answers: Tensor,
    passed: Tensor,
    low_shape: tuple[int, int],
) -> Tensor:
    """Make the masks that passed, (K, h, w), of answers (B, 3, C) and features."""
    low = [answers.new_empty(0, *low_shape)]
    if not passed.any():
        return low[0]
    # One prompt's pixels at a time stay in a CPU's cache; others want more work at once.
    step = 1 if answers.device.type == "cpu" else 16
    hyper = _hyper(decoder, answers)
    for some in passed.any(dim=1).nonzero()[:, 0].split(step):
        pixels = _pixels(decoder, side, features, some, low_shape)
        kept = passed[some]
        if len(some) == 1:
            logits = hyper[some[0]][kept[0]] @ pixels[0].T
        else:
            logits = torch.bmm(hyper[some], pixels.transpose(1, 2))[kept]
        low.append(_in_place(logits, low_shape))
    return torch.cat(low)


def _hyper(decoder: Any, answers: Tensor) -> Tensor:
    """Weights of the pixels' channels for each of the masks, (B, 3, C / 8)."""
    layers = list(decoder.output_hypernetworks_mlps)[1:]
    return torch.stack([layer(answers[:, i]) for i, layer in enumerate(layers)], dim=1)


def _pixels(
    decoder: Any, side: ImageSide, features: Features, some: Tensor, low_shape: tuple[int, int]
) -> Tensor:
    """Upscale the features of some prompts four times, (n, pixels, C / 8).

    In order of token, then of its 2 x 2 quarters, then of each one's 2 x 2 pixels.
    """
    first, norm, _, second, _ = decoder.output_upscaling
    grid = len(side.upscaled)
    rows, columns = (-(-low // 4) for low in low_shape)
    count = len(some)

    def within(grids: Tensor) -> Tensor:
        return grids.view(*grids.shape[:-1], grid, grid)[..., :rows, :columns].flatten(-2)

    weight, _ = as_linear(first)
    base = side.upscaled[:rows, :columns].flatten(0, 1)
    scale = within(features.scale[some]).transpose(1, 2)
    pixels = torch.addcmul(side.upscaled_shift, base, scale)
    pixels.baddbmm_(within(features.factors[some]).transpose(1, 2), features.rows[some] @ weight.T)
    pixels = pixels.view(count, -1, first.out_channels)
    pixels = functional.layer_norm(pixels, (first.out_channels,), norm.weight, norm.bias, norm.eps)
    # In place: fresh memory of this size costs more than the activation itself.
    pixels = functional.linear(torch.ops.aten.gelu_(pixels), *as_linear(second))
    upscaled: Tensor = torch.ops.aten.gelu_(pixels)
    return upscaled.view(count, -1, second.out_channels)


def _in_place(logits: Tensor, low_shape: tuple[int, int]) -> Tensor:
    """Bring logits (K, pixels) from the order of :func:`_pixels` to (K, h, w)."""
    rows, columns = (-(-low // 4) for low in low_shape)
    tiles = logits.view(-1, rows, columns, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
    return tiles.reshape(-1, 4 * rows, 4 * columns)[:, : low_shape[0], : low_shape[1]]
