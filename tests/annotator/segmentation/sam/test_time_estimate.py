from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
import torch
from support.random_sam import SMALL
from torch.utils.flop_counter import FlopCounterMode

from annotator.segmentation.sam.architecture import Architecture
from annotator.segmentation.sam.checkpoint import build
from annotator.segmentation.sam.time_estimate import (
    Efficiency,
    Machine,
    encoder_operations,
    estimate_text,
    expected_seconds,
    matrix_speed,
    prompt_operations,
    this_machine,
)

VIT_B = Architecture(
    kind="vit_b",
    image_size=1024,
    patch_size=16,
    embed_dim=768,
    depth=12,
    heads=12,
    mlp_ratio=4.0,
    rel_pos=True,
    window_size=14,
    global_attention=(2, 5, 8, 11),
    out_chans=256,
    mask_in_chans=16,
    decoder_depth=2,
    decoder_mlp_dim=2048,
    decoder_heads=8,
    iou_head_depth=3,
    iou_head_hidden_dim=256,
)
VIT_L = replace(
    VIT_B, kind="vit_l", embed_dim=1024, depth=24, heads=16, global_attention=(5, 11, 17, 23)
)
VIT_H = replace(
    VIT_B, kind="vit_h", embed_dim=1280, depth=32, heads=16, global_attention=(7, 15, 23, 31)
)


def counted(run: Callable[[], object]) -> int:
    """Operations that torch itself counts."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return int(counter.get_total_flops())


@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        replace(SMALL, rel_pos=False),
        replace(SMALL, window_size=0, global_attention=()),
        replace(SMALL, window_size=16, mlp_ratio=2.5),
        replace(SMALL, image_size=96, window_size=7, depth=3, heads=4, global_attention=(0, 2)),
        VIT_B,
    ],
)
def test_the_encoders_operations_are_those_that_torch_counts(shape: Architecture) -> None:
    encoder = build(shape).image_encoder
    pixels = torch.empty(1, 3, shape.image_size, shape.image_size, device="meta")
    assert encoder_operations(shape) == counted(lambda: encoder(pixels))


@pytest.mark.parametrize("tokens", [7, 8])
@pytest.mark.parametrize(
    "shape", [SMALL, replace(SMALL, iou_head_depth=2, decoder_depth=3, decoder_mlp_dim=48), VIT_B]
)
def test_a_stock_prompt_takes_the_operations_that_torch_counts(
    shape: Architecture, tokens: int
) -> None:
    decoder, grid = build(shape).mask_decoder, shape.grid
    image = torch.empty(1, shape.out_chans, grid, grid, device="meta")
    sparse = torch.empty(1, tokens - 5, shape.out_chans, device="meta")
    ours = prompt_operations(shape, folded=False, tokens=tokens)
    assert ours == counted(lambda: decoder(image, image, sparse, image, True))


@pytest.mark.parametrize(("shape", "tera"), [(VIT_B, 0.97), (VIT_L, 2.99), (VIT_H, 5.96)])
def test_the_official_encoders(shape: Architecture, tera: float) -> None:
    assert round(encoder_operations(shape) / 1e12, 2) == tera


def test_an_encoder_by_hand() -> None:
    # 4 x 4 tokens of 2 channels; windows of 3 pad them to 6 x 6.
    tiny = replace(
        SMALL,
        image_size=8,
        patch_size=2,
        embed_dim=2,
        depth=1,
        heads=1,
        mlp_ratio=2.0,
        window_size=3,
        global_attention=(),
        out_chans=5,
    )
    patches = 2 * 16 * 12 * 2
    qkv_and_out = 2 * 36 * 2 * 6 + 2 * 36 * 2 * 2
    scores_and_values = 2 * (2 * 36 * 9 * 2)
    positions = 2 * (2 * 36 * 3 * 2)
    mlp = 2 * (2 * 16 * 2 * 4)
    neck = 2 * 16 * 2 * 5 + 2 * 16 * 9 * 5 * 5
    by_hand = patches + qkv_and_out + scores_and_values + positions + mlp + neck
    assert encoder_operations(tiny) == by_hand


def test_a_folded_prompt_by_hand() -> None:
    # vit_b: 4096 tokens of the image, 7 of the prompt, 8 heads, 256 and 128 channels.
    plain = 3 * (2 * 4096 * 7 * 128)
    folded = 7 * (2 * 4096 * 56 * 256)
    upscaling = 2 * 4096 * 256 * 256 + 2 * 16384 * 64 * 128 + 2 * 65536 * 32 * 3
    tokens_only = prompt_operations(VIT_B, upscaled=0) - plain - folded
    assert 0 < tokens_only < 0.05e9
    assert prompt_operations(VIT_B) - prompt_operations(VIT_B, upscaled=0) == upscaling
    assert prompt_operations(VIT_B, seen=0.5) == prompt_operations(VIT_B, upscaled=0.5)


def test_folding_pays_most_where_nothing_is_upscaled() -> None:
    stock = prompt_operations(VIT_B, folded=False)
    assert stock / prompt_operations(VIT_B, seen=0.625) > 2.5
    assert stock / prompt_operations(VIT_B, upscaled=0) > 4
    assert prompt_operations(VIT_B, folded=False, seen=0.5, upscaled=0.1) == stock


def test_seconds_add_up() -> None:
    fair = Efficiency(encoder=0.5, decoder=0.25)
    encoder, prompt = encoder_operations(VIT_B), prompt_operations(VIT_B)
    seconds = expected_seconds(VIT_B, 2, 100, 1e11, fair)
    assert seconds == pytest.approx(4 * encoder / 1e11 + 400 * prompt / 1e11 + 0.1)
    assert expected_seconds(VIT_B, 0, 0, 1e11) == 0
    assert expected_seconds(VIT_B, 1, 50, 2e11) < expected_seconds(VIT_B, 1, 50, 1e11)


def test_seconds_are_near_those_measured() -> None:
    """On a busy machine of 73 GFLOP/s: 18 s to encode, 5 s for 200 prompts, most rejected."""
    assert 18 <= expected_seconds(VIT_B, 1, 0, 7.3e10) <= 22
    assert 23 <= expected_seconds(VIT_B, 1, 200, 7.3e10) <= 32


def ticks(step: float) -> Callable[[], float]:
    """A clock that goes on by a step each time it is looked at."""
    times = count()
    return lambda: next(times) * step


def test_speed_is_products_over_time() -> None:
    # Looked at before and after each product: three of them in 3 s.
    assert matrix_speed("cpu", 2.5, ticks(1.0)) == pytest.approx(3 * 2 * 1024**3 / 3)


def test_speed_is_measured_however_short_the_time() -> None:
    assert matrix_speed("cpu", 0.0, ticks(0.5)) == pytest.approx(2 * 1024**3 / 0.5)


def test_a_stopped_clock_divides_by_no_zero() -> None:
    assert matrix_speed("cpu", 0.0, lambda: 5.0) > 0


def test_this_machine_is_described() -> None:
    here = this_machine("cpu", 0.0)
    assert (here.device, here.threads) == ("cpu", torch.get_num_threads())
    assert here.speed > 1e8


@pytest.mark.parametrize(
    ("machine", "shape", "text"),
    [
        (
            Machine("cpu", 1, 8.9e10),
            VIT_B,
            "about 12 s an image with vit_b on this machine (cpu, 1 thread, 89 GFLOP/s): "
            "12 s for 1 image",
        ),
        (
            Machine("cuda:0", 16, 5.04e13),
            SMALL,
            "about 12 s an image with a small SAM on this machine (cuda:0, 50.4 TFLOP/s): "
            "12 s for 1 image",
        ),
    ],
)
def test_the_estimate_in_words(machine: Machine, shape: Architecture, text: str) -> None:
    assert estimate_text(shape, machine, 12.2, 1) == text
