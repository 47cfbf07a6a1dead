"""SAM's image encoder, blocked: the package's values in less time and memory.

The weights are the package's own. What is done in another way:

- Attention over the whole image goes head by head and some rows at a time, so that
  scores stay in the CPU's cache; the package writes out all of them (0.8 GB, some
  copies) before it goes on. A GPU takes more of them at once.
- Relative positions are written into the scores' buffer first, and the product of
  queries and keys is added to them.
- In windows they come with that product: queries are continued by their biases, keys
  by ones and zeros that pick the right ones.
- The padding of windows is not projected: it is 0, so its projection is the bias.
- Activations and residuals are computed in place.

Shapes: a grid of (G, G) tokens, N = G * G, C channels, H heads of D channels.

References
----------
Kirillov et al. (2023), Segment Anything, arXiv:2304.02643, appendix A; Li et al. (2022),
Exploring plain vision transformer backbones for object detection, arXiv:2203.16527: windows,
with attention over the whole image in some blocks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Scores held at once: 4 MB, which a CPU's cache holds and which is enough for threads to
# wait little for each other, or 512 MB of a GPU's memory.
SCORES_AT_ONCE = {"cpu": 1 << 20}
SCORES_AT_ONCE_ELSEWHERE = 1 << 27


def encode_image(encoder: Any, pixels: Tensor, at_once: int | None = None) -> Tensor:
    """Run the encoder on one image.

    Parameters
    ----------
    encoder : segment_anything.modeling.ImageEncoderViT
    pixels : (1, 3, S, S) float32 tensor
        Normalised and padded to the encoder's side.
    at_once : int, optional
        Attention scores held at once, where all tokens attend to all; by default
        what suits the device.

    Returns
    -------
    (1, C, G, G) float32 tensor
        The package's values but for rounding, whatever `at_once` is.
    """
    tokens = _patches(encoder.patch_embed.proj, pixels)
    if encoder.pos_embed is not None:
        tokens += encoder.pos_embed[0].flatten(0, 1)
    grid = pixels.shape[-1] // encoder.patch_embed.proj.stride[0]
    if at_once is None:
        at_once = SCORES_AT_ONCE.get(pixels.device.type, SCORES_AT_ONCE_ELSEWHERE)
    # Each block changes the tokens in place: no copy of them is kept for a gradient.
    for block in encoder.blocks:
        _attend(block, tokens, grid, at_once)
        _mix_channels(block, tokens)
    features: Tensor = encoder.neck(tokens.view(1, grid, grid, -1).permute(0, 3, 1, 2))
    # Features from the cache lie in this order, too: the order of memory moves rounding.
    return features.contiguous()


def _patches(layer: Any, pixels: Tensor) -> Tensor:
    """Tokens (N, C) of an image: a convolution whose stride is its size, as a product."""
    side = layer.stride[0]
    grid = pixels.shape[-1] // side
    cut = pixels[0].unflatten(2, (grid, side)).unflatten(1, (grid, side))
    flat = cut.permute(1, 3, 0, 2, 4).reshape(grid * grid, -1)
    return functional.linear(flat, layer.weight.flatten(1), layer.bias)


def _mix_channels(block: Any, tokens: Tensor) -> None:
    """Add the two-layer perceptron's output to tokens (N, C)."""
    first, second = block.mlp.lin1, block.mlp.lin2
    hidden = first(block.norm2(tokens))
    # In place when it is the usual one: the buffer has four times the tokens' size.
    exact = isinstance(block.mlp.act, torch.nn.GELU) and block.mlp.act.approximate == "none"
    hidden = torch.ops.aten.gelu_(hidden) if exact else block.mlp.act(hidden)
    # Bias, product and residual in one pass over the tokens.
    tokens += second.bias
    tokens.addmm_(hidden, second.weight.T)


def _attend(block: Any, tokens: Tensor, grid: int, at_once: int) -> None:
    """Add the attention's output to tokens (N, C)."""
    attention = block.attn
    mixed = attention.qkv(block.norm1(tokens)).view(grid, grid, -1)
    if block.window_size:
        attended = _in_windows(attention, mixed, block.window_size)
    else:
        attended = _over_all(attention, mixed, at_once)
    tokens += attention.proj.bias
    tokens.addmm_(attended.view(grid * grid, -1), attention.proj.weight.T)


def _over_all(attention: Any, mixed: Tensor, at_once: int) -> Tensor:
    """Attention of all tokens to all; (G, G, C) from (G, G, 3 * C)."""
    grid, heads = len(mixed), attention.num_heads
    # (3, H, N, D)
    queries, keys, values = mixed.view(grid * grid, 3, heads, -1).permute(1, 2, 0, 3).contiguous()
    size, channels = queries.shape[1:]
    # As many whole heads as fit into the buffer of scores; of one head, as many rows as fit.
    some = max(1, min(heads, at_once // (size * size)))
    rows = max(1, min(size, at_once // (size * some)))
    attended = torch.empty_like(queries)
    for head in range(0, heads, some):
        part = slice(head, head + some)
        # Relative positions take the queries unscaled, products with keys take them scaled.
        biases = _biases(attention, queries[part], grid)
        queries[part] *= attention.scale
        across = keys[part].transpose(1, 2).contiguous()
        for row in range(0, size, rows):
            here = slice(row, row + rows)
            scores = _scores(queries[part, here], across, [b[:, here] for b in biases])
            torch.bmm(scores.softmax(dim=-1), values[part], out=attended[part, here])
    return attended.transpose(0, 1).reshape(grid, grid, heads * channels)


def _scores(queries: Tensor, across: Tensor, biases: list[Tensor]) -> Tensor:
    """Products of some rows of queries (h, n, D) and keys (h, D, N), and their biases."""
    if not biases:
        return torch.bmm(queries, across)
    # The biases of rows and of columns spread over the keys, then the products added in place.
    down, along = biases
    scores = (down[..., :, None] + along[..., None, :]).flatten(2)
    return scores.baddbmm_(queries, across)


def _in_windows(attention: Any, mixed: Tensor, window: int) -> Tensor:
    """Attention within windows; (G, G, C) from (G, G, 3 * C)."""
    grid, heads = len(mixed), attention.num_heads
    across = -(-grid // window)
    channels = mixed.shape[-1] // (3 * heads)
    attended = mixed.new_empty(grid, grid, heads * channels)
    picks = _picks(window, mixed) if attention.use_rel_pos else None
    # One row of windows at a time, so that what is cut out of the image stays in cache.
    for top in range(0, grid, window):
        strip = _padded(mixed[top : top + window], window, across * window, attention.qkv.bias)
        # (3, windows * heads, window ** 2, D)
        parts = strip.view(window, across, window, 3, heads, channels)
        parts = parts.permute(3, 1, 4, 0, 2, 5).reshape(3, across * heads, window**2, channels)
        output = _in_window(attention, parts, window, picks)
        output = output.view(across, heads, window, window, channels).permute(2, 0, 3, 1, 4)
        output = output.reshape(window, across * window, heads * channels)
        # The padding's own output is cut off.
        attended[top : top + window] = output[: grid - top, :grid]
    return attended


def _in_window(attention: Any, parts: Tensor, window: int, picks: Tensor | None) -> Tensor:
    """Attention of (3, n, window ** 2, D) queries, keys and values, each n by itself."""
    queries, keys, values = parts
    scaled = queries * attention.scale
    # q . k + b[row] + b[column] is one product: queries (q, b), keys (k, ones that pick).
    if picks is not None:
        scaled = torch.cat([scaled, *_biases(attention, queries, window)], dim=2)
        keys = torch.cat([keys, picks.expand(len(keys), -1, -1)], dim=2)
    return torch.bmm(torch.bmm(scaled, keys.transpose(1, 2)).softmax(dim=-1), values)


def _padded(strip: Tensor, high: int, wide: int, bias: Tensor) -> Tensor:
    """A strip (h, w, X) grown to whole windows by what a linear layer makes of zeros."""
    if strip.shape[:2] == (high, wide):
        return strip
    grown = bias.expand(high, wide, -1).clone()
    grown[: strip.shape[0], : strip.shape[1]] = strip
    return grown


def _picks(side: int, like: Tensor) -> Tensor:
    """For each token of a square, a one at its row and a one at its column."""
    one = torch.eye(side, dtype=like.dtype, device=like.device)
    return torch.cat([one.repeat_interleave(side, dim=0), one.repeat(side, 1)], dim=1)


def _biases(attention: Any, queries: Tensor, side: int) -> list[Tensor]:
    """Bias of each query for each row and for each column of keys.

    Parameters
    ----------
    attention : segment_anything.modeling.image_encoder.Attention
    queries : (n, N, D) tensor
        Of a square of `side` tokens, not scaled.
    side : int

    Returns
    -------
    two (n, N, side) tensors, or none at all without relative positions
        MViTv2's decomposed relative positions (Li et al. 2022, arXiv:2112.01526, eq. 4).
    """
    if not attention.use_rel_pos:
        return []
    place = queries.view(len(queries), side, side, -1)
    down = torch.einsum("nyxc,ykc->nyxk", place, _by_distance(attention.rel_pos_h, side))
    along = torch.einsum("nyxc,xkc->nyxk", place, _by_distance(attention.rel_pos_w, side))
    return [down.reshape(len(queries), -1, side), along.reshape(len(queries), -1, side)]


def _by_distance(table: Tensor, side: int) -> Tensor:
    """Rows of a table (2 * side - 1, D) for each pair of query and key: (side, side, D)."""
    steps = torch.arange(side, device=table.device)
    return table[steps[:, None] - steps + side - 1]
