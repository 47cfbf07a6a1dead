"""SAM's mask decoder, folded: the same masks as the package's, for a tenth of the work.

In the decoder a few tokens (of the prompt and of the answer) and the image's N features
attend to each other in turn. The package repeats the image's features for every prompt
and runs each linear layer over all of them. Here they are never written out. What a prompt
adds to them is of low rank, so they stay a sum,

    features = scale * base + factors.T @ rows + shift,

in which the base (N, C) and the shift (C,) are the same for every prompt, ``scale`` (N,)
comes from the layer norms, ``factors`` are the attention weights by which the features
took up the tokens, and ``rows`` is what they took up: 56 of them a layer for 7 tokens
and 8 heads. Every linear layer of the base is computed once an image
(:mod:`annotator.segmentation.sam.decoder_image_side`); every product with the features is one with
these parts.

Sums are taken in another order than in the package: results agree but for rounding.
Shapes: B prompts, T tokens, H heads of D channels, N features of C channels.

References
----------
Kirillov et al. (2023), Segment Anything, arXiv:2304.02643, appendix A: the two-way
transformer; ``segment_anything/modeling/transformer.py`` and ``mask_decoder.py``.
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

# Attention weights below this are set to 0. They change no float32 sum, and products with
# numbers below 1e-38 (denormal) are some 20 times slower on a CPU.
NEGLIGIBLE = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The image's features after some layers, for each prompt: see the module's head.

    Parameters
    ----------
    scale : (B, 1, N) tensor
        What the layer norms so far have multiplied the base by.
    factors : (B, M, N) tensor
        Attention weights by which each feature took up each row; M is H * T times the
        layers so far.
    rows : (B, M, C) tensor
        What there was to take up: each token's value through each head.
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

    In the package the masks of all prompts are upscaled first and filtered afterwards.
    Upscaling is most of the work, and on a grid of prompts most masks fail the filter.

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

    Raises
    ------
    ValueError
        When the decoder has no layers.
    """
    if not len(prompts):
        none = prompts.new_empty(0)
        return prompts.new_empty(0, *low_shape), none, none.long()
    # The decoder's input: tokens that will hold the predicted IoU and the masks, then the prompt.
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(len(prompts), -1, -1), prompts], dim=1)
    tokens, features = _transform(decoder.transformer, side, tokens)
    # Scores before masks: a mask that fails is never upscaled. The first of the four masks
    # is SAM's single answer, of use only to who asks for one; the other three are nested.
    predicted_iou = decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
    all_pass = torch.ones_like(predicted_iou, dtype=torch.bool)
    passed = predicted_iou > least if least > 0 else all_pass
    mask_tokens = tokens[:, 2 : len(output_tokens)]
    low = _masks(decoder, side, features, mask_tokens, passed, low_shape)
    return low, predicted_iou[passed], passed.nonzero()[:, 0]


def _transform(transformer: Any, side: ImageSide, tokens: Tensor) -> tuple[Tensor, Features]:
    """The two-way transformer: tokens (B, T, C) and the image attend to each other."""
    queries = tokens
    # None until a prompt has changed them: layer 0 sees features that all prompts share.
    features: Features | None = None
    for layer, token_to_image, image_to_token, constant in zip(
        transformer.layers, side.token_to_image, side.image_to_token, side.constants, strict=False
    ):
        # 1. Tokens attend to each other: few and small, as in the package.
        queries = layer.norm1(_self_attention(layer, queries, tokens))
        # 2. Tokens attend to the image; its keys and values come from the shared parts.
        attention = layer.cross_attn_token_to_image
        queries = layer.norm2(
            queries + _attend_to_image(attention, token_to_image, features, queries + tokens)
        )
        # 3. Each token goes through the perceptron.
        queries = layer.norm3(queries + layer.mlp(queries))
        # 4. The image attends to the tokens; only factors and rows are added to it.
        features = _attend_to_tokens(layer, image_to_token, constant, features, queries, tokens)
    if features is None:
        raise ValueError("expected a decoder of one layer at least, got none")
    attention = transformer.final_attn_token_to_image
    queries = queries + _attend_to_image(
        attention, side.token_to_image[-1], features, queries + tokens
    )
    return transformer.norm_final_attn(queries), features


def _self_attention(layer: Any, queries: Tensor, tokens: Tensor) -> Tensor:
    """Tokens (B, T, C) attend to each other; `tokens` are their positional encoding."""
    if layer.skip_first_layer_pe:
        # Layer 0: the queries are the tokens themselves, and the package adds no residual.
        first: Tensor = layer.self_attn(q=queries, k=queries, v=queries)
        return first
    placed = queries + tokens
    mixed: Tensor = layer.self_attn(q=placed, k=placed, v=queries)
    return queries + mixed


def _attend_to_image(
    attention: Any, token_to_image: TokenToImage, features: Features | None, placed: Tensor
) -> Tensor:
    """Attention of tokens (B, T, C), position included, to the image; (B, T, C)."""
    count, length, _ = placed.shape
    heads = attention.num_heads
    # Scaled here, on T tokens, instead of on T * N scores.
    queries = split(attention.q_proj(placed), heads) / math.sqrt(token_to_image.keys.shape[1])
    if features is None:
        # The image is the same for all prompts: one product for the tokens of all of them.
        weights = _softmax(torch.bmm(queries, token_to_image.keys), -1)
        attended = torch.bmm(weights, token_to_image.values)
    else:
        scores = _scores(
            queries, token_to_image.keys, token_to_image.position, features, attention.k_proj.weight
        )
        attended = _values(
            _softmax(scores, -1), token_to_image.values, features, attention.v_proj.weight
        )
    joined = attended.view(heads, count, length, -1).permute(1, 2, 0, 3).flatten(2)
    # Weights sum to 1 over the features, so that what all values share is added once.
    output: Tensor = attention.out_proj(joined + token_to_image.shift)
    return output


def _softmax(scores: Tensor, dim: int) -> Tensor:
    """Softmax, with negligible weights at 0: sharp attention makes many of them."""
    weights: Tensor = torch.threshold_(scores.softmax(dim), NEGLIGIBLE, 0.0)
    return weights


def _scores(
    queries: Tensor, base: Tensor, position: Tensor, features: Features, weight: Tensor
) -> Tensor:
    """Products of the tokens' projections with those of the features.

    The features are a sum, so the product with them is one with each part: with the
    position, with the base (times the scale), and with the rows (times the factors).

    Parameters
    ----------
    queries : (H, B * T, D) tensor
        Tokens, projected and scaled.
    base, position : (H, D, N) tensor
        Of the image, projected once for all prompts.
    features : Features
    weight : (H * D, C) tensor
        That of the projection of features.

    Returns
    -------
    (B, H * T, N) tensor
    """
    heads, _, size = base.shape
    count = len(features.factors)
    scores = base.new_empty(count, heads, queries.shape[1] // count, size)
    # The scale multiplies products, not keys: keys of each prompt would be N * C numbers.
    torch.addcmul(
        _by_prompt(torch.bmm(queries, position), count),
        _by_prompt(torch.bmm(queries, base), count),
        features.scale[:, None],
        out=scores,
    )
    # q . (W f) is (q W) . f: the layer goes onto T tokens instead of onto N features.
    folded = _by_prompt(torch.bmm(queries, weight.view(heads, -1, weight.shape[1])), count)
    # Tokens meet the M rows first, and only their products meet the N features.
    with_rows = torch.bmm(folded.flatten(1, 2), features.rows.transpose(1, 2))
    return scores.flatten(1, 2).baddbmm_(with_rows, features.factors)


def _values(weights: Tensor, base: Tensor, features: Features, weight: Tensor) -> Tensor:
    """Sum the features' values by attention weights, part by part as in :func:`_scores`.

    Parameters
    ----------
    weights : (B, H * T, N) tensor
    base : (H, N, D) tensor
    features : Features
    weight : (H * D, C) tensor
        That of the projection of values.

    Returns
    -------
    (H, B * T, D) tensor
    """
    heads, size, channels = base.shape
    count = len(weights)
    # The base: its values are shared, so the scale goes onto the weights.
    scaled = weights.new_empty(heads, count, weights.shape[1] // heads, size)
    by_head = weights.view(count, heads, -1, size).transpose(0, 1)
    torch.mul(by_head, features.scale, out=scaled)
    # The rows: summed over features as factors first, and projected as T sums, not as M rows.
    summed = torch.bmm(torch.bmm(weights, features.factors.transpose(1, 2)), features.rows)
    summed = summed.view(count, heads, -1, summed.shape[-1]).transpose(0, 1).flatten(1, 2)
    per_head = weight.view(heads, channels, -1).transpose(1, 2)
    return torch.baddbmm(torch.bmm(summed, per_head), scaled.flatten(1, 2), base)


def _by_prompt(by_head: Tensor, count: int) -> Tensor:
    """View (H, B * T, X) as (B, H, T, X)."""
    return by_head.view(len(by_head), count, -1, by_head.shape[-1]).transpose(0, 1)


def _attend_to_tokens(
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
    keys = split(attention.k_proj(queries + tokens), heads) / math.sqrt(depth)
    values = split(attention.v_proj(queries), heads)
    # Scores (tokens, features), transposed against the package: so the N features lie side by
    # side in memory, and the softmax over the few tokens runs along them.
    if features is None:
        scores = _by_prompt(torch.bmm(keys, image_to_token.queries), count)
    else:
        weight = attention.q_proj.weight
        scores = _scores(keys, image_to_token.queries, image_to_token.position, features, weight)
    weights = _softmax(scores.view(count, heads, -1, scores.shape[-1]), 2).flatten(1, 2)
    # What there is to take up: each token's value through its head's part of the output layer.
    per_head = attention.out_proj.weight.T.reshape(heads, depth, -1)
    rows = _by_prompt(torch.bmm(values, per_head), count).flatten(1, 2)
    # One head's weights sum to 1 over the tokens: what all features gain (bias and shift)
    # goes onto the rows of the first head, and needs no part of its own.
    rows[:, : queries.shape[1]] += constant
    # The layer norm subtracts the mean over channels. That is linear: done on rows, not features.
    if features is None:
        added = Features(weights.new_ones(1, 1, 1), weights, centred(rows), (values,))
    else:
        added = Features(
            features.scale,
            torch.cat([features.factors, weights], dim=1),
            centred(torch.cat([features.rows, rows], dim=1)),
            (*features.values, values),
        )
    # Then it divides by the root of the mean square, one number a feature, and multiplies by a
    # weight, one a channel: the first goes onto the factors, the second onto the rows. Its
    # bias is the next layer's shift.
    scale = torch.rsqrt(_mean_square(image_to_token, added) + norm.eps)
    added.factors.mul_(scale)
    return Features(scale * added.scale, added.factors, added.rows * norm.weight, added.values)


def _mean_square(image_to_token: ImageToToken, features: Features) -> Tensor:
    """Mean square (B, 1, N) over the channels of features whose parts are all centred.

    Of the sum s b + sum_i f_i r_i it is s^2 <b, b> + 2 s sum_i f_i <b, r_i> +
    sum_ij f_i f_j <r_i, r_j>, with <.,.> the mean of products over C channels.
    """
    factors, rows, scale = features.factors, features.rows, features.scale
    count, _, size = factors.shape
    heads = len(image_to_token.queries)
    # Rows with rows: M * M numbers, whatever N is.
    among = torch.bmm(rows, rows.transpose(1, 2)) / rows.shape[-1]
    length = features.values[0].shape[1] // count
    # Base with rows: a row is a token's value through fixed layers, so the base is brought
    # through those layers once an image (`products`), and meets values of D channels here.
    crossed = factors.new_empty(count, len(image_to_token.products), heads, length, size)
    for index, (values, product) in enumerate(
        zip(features.values, image_to_token.products, strict=True)
    ):
        crossed[:, index] = _by_prompt(torch.bmm(values, product), count)
        # The constant that rides on the rows of the first head.
        crossed[:, index, 0] += image_to_token.constants[index]
    crossed *= 2 * scale[:, None, None]
    mixed = crossed.view(factors.shape).baddbmm_(among, factors).mul_(factors)
    square = image_to_token.square * scale.square()
    # A sum of terms of both signs: rounding may leave it a little below 0.
    return (mixed.sum(dim=1, keepdim=True) + square).clamp_(min=0)


def _masks(
    decoder: Any,
    side: ImageSide,
    features: Features,
    mask_tokens: Tensor,
    passed: Tensor,
    low_shape: tuple[int, int],
) -> Tensor:
    """Make the masks that passed (B, 3), (K, h, w), of mask tokens (B, 3, C) and features."""
    low = [mask_tokens.new_empty(0, *low_shape)]
    if not passed.any():
        return low[0]
    # One prompt's pixels at a time stay in a CPU's cache; others want more work at once.
    step = 1 if mask_tokens.device.type == "cpu" else 16
    channel_weights = _channel_weights(decoder, mask_tokens)
    for prompts in passed.any(dim=1).nonzero()[:, 0].split(step):
        pixels = _pixels(decoder, side, features, prompts, low_shape)
        # A mask is the pixels' channels summed by the weights that its token gives.
        if len(prompts) == 1:
            logits = channel_weights[prompts[0]][passed[prompts[0]]] @ pixels[0].T
        else:
            logits = torch.bmm(channel_weights[prompts], pixels.transpose(1, 2))[passed[prompts]]
        low.append(_to_grid(logits, low_shape))
    return torch.cat(low)


def _channel_weights(decoder: Any, mask_tokens: Tensor) -> Tensor:
    """Weights of the pixels' channels for each of three masks, (B, 3, C / 8)."""
    # The first hypernetwork is that of SAM's single answer.
    layers = list(decoder.output_hypernetworks_mlps)[1:]
    return torch.stack([layer(mask_tokens[:, i]) for i, layer in enumerate(layers)], dim=1)


def _pixels(
    decoder: Any, side: ImageSide, features: Features, prompts: Tensor, low_shape: tuple[int, int]
) -> Tensor:
    """Upscale the features of some prompts four times, (n, pixels, C / 8).

    In order of token, then of its 2 x 2 quarters, then of each one's 2 x 2 pixels.
    """
    first, norm, _, second, _ = decoder.output_upscaling
    grid = len(side.upscaled)
    rows, columns = (-(-low // 4) for low in low_shape)
    count = len(prompts)

    # Rows and columns of tokens that the image reaches; the letter-box is never upscaled.
    def within(grids: Tensor) -> Tensor:
        return grids.view(*grids.shape[:-1], grid, grid)[..., :rows, :columns].flatten(-2)

    # The first transposed convolution is linear in the features: of the base it is known.
    weight, _ = as_linear(first)
    base = side.upscaled[:rows, :columns].flatten(0, 1)
    scale = within(features.scale[prompts]).transpose(1, 2)
    pixels = torch.addcmul(side.upscaled_shift, base, scale)
    pixels.baddbmm_(
        within(features.factors[prompts]).transpose(1, 2), features.rows[prompts] @ weight.T
    )
    # From here on it is not linear any more: each pixel's channels are normalised.
    pixels = pixels.view(count, -1, first.out_channels)
    pixels = functional.layer_norm(pixels, (first.out_channels,), norm.weight, norm.bias, norm.eps)
    # In place: fresh memory of this size costs more than the activation itself.
    pixels = functional.linear(torch.ops.aten.gelu_(pixels), *as_linear(second))
    upscaled: Tensor = torch.ops.aten.gelu_(pixels)
    return upscaled.view(count, -1, second.out_channels)


def _to_grid(logits: Tensor, low_shape: tuple[int, int]) -> Tensor:
    """Bring logits (K, pixels) from the order of :func:`_pixels` to (K, h, w)."""
    # (row, column) of the token, of its quarter, of the pixel in that quarter.
    rows, columns = (-(-low // 4) for low in low_shape)
    tiles = logits.view(-1, rows, columns, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
    return tiles.reshape(-1, 4 * rows, 4 * columns)[:, : low_shape[0], : low_shape[1]]
