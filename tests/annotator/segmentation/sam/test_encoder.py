from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.random_sam import SMALL, random_state

from annotator.segmentation.sam.architecture import Architecture
from annotator.segmentation.sam.checkpoint import build, fill
from annotator.segmentation.sam.encoder import encode_image

SHAPES = {
    "padded windows": SMALL,
    "whole windows": replace(SMALL, window_size=4, depth=3, global_attention=(0, 2)),
    "a window larger than the grid": replace(SMALL, window_size=20),
    "windows only": replace(SMALL, global_attention=()),
    "no windows": replace(SMALL, window_size=0, global_attention=(0, 1)),
    "no relative positions": replace(SMALL, rel_pos=False, window_size=6),
    "no relative positions, no windows": replace(SMALL, rel_pos=False, window_size=0),
    "more heads": replace(SMALL, embed_dim=48, heads=6, image_size=96, out_chans=16, mlp_ratio=3.0),
}


def encoder(shape: Architecture) -> Any:
    network = build(shape)
    fill(network, random_state(shape, seed=3), Path("random"))
    return network.image_encoder


def pixels(shape: Architecture, rows: int | None = None) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    picture = torch.randn(1, 3, shape.image_size, shape.image_size, generator=draw)
    picture[:, :, rows:] = 0
    return picture


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal but for rounding: some ten sums in a row, each of up to 384 products.

    Each loses about sqrt(384) / 2 units in the last place of its terms, the other sums of
    the layer norms' mean a part of that; 64 units of the largest value hold them all.
    """
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    allowed = 64 * torch.finfo(ours.dtype).eps * float(theirs.abs().max())
    assert float((ours - theirs).abs().max()) <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_packages_encoder(name: str) -> None:
    shape = SHAPES[name]
    own = encoder(shape)
    picture = pixels(shape)
    with torch.inference_mode():
        assert_close(encode_image(own, picture), own(picture))
        own, picture = own.double(), picture.double()
        assert_close(encode_image(own, picture), own(picture))


@pytest.mark.parametrize("at_once", [1, 256 * 7, 256 * 256, 1 << 30])
def test_the_size_of_a_block_changes_nothing(at_once: int) -> None:
    own = encoder(SMALL)
    with torch.inference_mode():
        assert_close(encode_image(own, pixels(SMALL), at_once), own(pixels(SMALL)))


def test_letter_boxed_images_too() -> None:
    own = encoder(SMALL)
    with torch.inference_mode():
        assert_close(encode_image(own, pixels(SMALL, rows=40)), own(pixels(SMALL, rows=40)))


@pytest.mark.slow
def test_neither_the_image_nor_the_weights_are_changed() -> None:
    own, picture = encoder(SMALL), pixels(SMALL)
    before = {k: v.clone() for k, v in own.state_dict().items()}
    with torch.inference_mode():
        first, second = encode_image(own, picture), encode_image(own, picture)
    assert torch.equal(first, second)
    assert torch.equal(picture, pixels(SMALL))
    assert all(torch.equal(v, before[k]) for k, v in own.state_dict().items())
