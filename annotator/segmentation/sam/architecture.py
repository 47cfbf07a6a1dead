"""The shape of a SAM network, read from the shapes of a checkpoint's tensors; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotator.core.errors import WeightsError

Shapes = Mapping[str, tuple[int, ...]]

# Encoder (width, depth) -> name, for the three official ones.
OFFICIAL = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}

# Without relative positions no tensor's shape tells heads, window and global blocks.
# (image size, patch, width, depth) -> (heads, window, global blocks) of those we know.
WITHOUT_REL_POS: dict[tuple[int, int, int, int], tuple[int, int, tuple[int, ...]]] = {
    (256, 8, 128, 6): (4, 16, (2, 5)),
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """All that has to be known to build a SAM network.

    Parameters
    ----------
    kind : str
        ``vit_b``, ``vit_l``, ``vit_h``, or ``small`` for any other size.
    image_size, patch_size : int
        Side of the square that the encoder takes, and of one token, in pixels.
    embed_dim, depth, heads, mlp_ratio, rel_pos, window_size, global_attention
        Of the image encoder.
    out_chans : int
        Channels between encoder and decoder.
    mask_in_chans, decoder_depth, decoder_mlp_dim, decoder_heads, iou_head_depth,
    iou_head_hidden_dim
        Of the prompt encoder and the mask decoder.
    """

    kind: str
    image_size: int
    patch_size: int
    embed_dim: int
    depth: int
    heads: int
    mlp_ratio: float
    rel_pos: bool
    window_size: int
    global_attention: tuple[int, ...]
    out_chans: int
    mask_in_chans: int
    decoder_depth: int
    decoder_mlp_dim: int
    decoder_heads: int
    iou_head_depth: int
    iou_head_hidden_dim: int

    @property
    def grid(self) -> int:
        """Tokens along one side."""
        return self.image_size // self.patch_size


def architecture(shapes: Shapes, path: Path) -> Architecture:
    """Tell the network's shape from its tensors.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Name and shape of each tensor of the checkpoint.
    path : Path
        The checkpoint, for messages.

    Raises
    ------
    WeightsError
        When the tensors are not those of a Segment Anything model, or do not
        determine its shape.
    """
    try:
        return _architecture(shapes)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        some = ", ".join(sorted(shapes)[:3]) or "none"
        raise WeightsError(
            f"{path} is not a checkpoint of the first Segment Anything (vit_b, vit_l, vit_h): "
            f"{_reason(error)}; its tensors are called {some}, … "
            f"SAM 2, MobileSAM and HQ-SAM are other architectures"
        ) from error


def _reason(error: Exception) -> str:
    return f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def _architecture(shapes: Shapes) -> Architecture:
    _, grid, _, width = shapes["image_encoder.pos_embed"]
    patch = shapes["image_encoder.patch_embed.proj.weight"][2]
    depth = _count(shapes, "image_encoder.blocks.")
    heads, window, spots = _attention(shapes, grid, patch, width, depth)
    official = OFFICIAL.get((width, depth), "small")
    channels = shapes["image_encoder.neck.0.weight"][0]
    return Architecture(
        kind=official if (grid, patch, channels) == (64, 16, 256) else "small",
        image_size=grid * patch,
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        heads=heads,
        mlp_ratio=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0] / width,
        rel_pos="image_encoder.blocks.0.attn.rel_pos_h" in shapes,
        window_size=window,
        global_attention=spots,
        out_chans=channels,
        mask_in_chans=shapes["prompt_encoder.mask_downscaling.3.weight"][0],
        decoder_depth=_count(shapes, "mask_decoder.transformer.layers."),
        decoder_mlp_dim=shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
        # No shape tells these; SAM and every smaller one of ours has 32 channels a head.
        decoder_heads=max(1, channels // 32),
        iou_head_depth=_count(shapes, "mask_decoder.iou_prediction_head.layers."),
        iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
    )


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts there are under a prefix."""
    return len({k[len(prefix) :].split(".")[0] for k in shapes if k.startswith(prefix)})


def _attention(
    shapes: Shapes, grid: int, patch: int, width: int, depth: int
) -> tuple[int, int, tuple[int, ...]]:
    """Heads, window size and global blocks: from the relative positions, or by name.

    A block's table of relative positions has ``2 s - 1`` rows for attention over s
    tokens a side, and one column for each channel of a head.
    """
    if "image_encoder.blocks.0.attn.rel_pos_h" not in shapes:
        known = WITHOUT_REL_POS.get((grid * patch, patch, width, depth))
        if known is None:
            raise ValueError("it has no relative positions, so its heads cannot be told")
        return known
    tables = [shapes[f"image_encoder.blocks.{i}.attn.rel_pos_h"] for i in range(depth)]
    sides = [(rows + 1) // 2 for rows, _ in tables]
    windows = {side for side in sides if side != grid}
    if len(windows) > 1:
        raise ValueError(f"its windows have several sizes, {sorted(windows)}")
    spots = tuple(i for i, side in enumerate(sides) if side == grid)
    return width // tables[0][1], windows.pop() if windows else 0, spots
