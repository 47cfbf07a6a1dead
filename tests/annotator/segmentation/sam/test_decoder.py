import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from support.random_sam import SMALL, bubbles, random_state

from annotator.segmentation.sam.architecture import Architecture
from annotator.segmentation.sam.checkpoint import build, fill
from annotator.segmentation.sam.decoder import decode_tokens
from annotator.segmentation.sam.decoder_image_side import image_side
from annotator.segmentation.sam.model import Embedding, Prompts, SamModel

SHAPES = {
    "small": SMALL,
    "more layers and heads": replace(SMALL, out_chans=64, decoder_heads=2, decoder_depth=3),
    "one layer": replace(SMALL, decoder_depth=1, rel_pos=False),
}
# Wide, tall, square, one pixel high, one wide, and a letter-box that ends within a token.
SIZES = [(90, 140), (140, 90), (128, 128), (1, 300), (300, 1), (61, 64)]


@functools.cache
def model(shape: Architecture = SMALL, sharper: float = 1.0) -> SamModel:
    network = build(shape)
    state = random_state(shape, seed=7)
    for key in [k for k in state if k.startswith("mask_decoder") and "k_proj.weight" in k]:
        state[key] *= sharper
    fill(network, state, Path("random"))
    return SamModel(network, shape, "0" * 64, "cpu")


def embedding(sam: SamModel, size: tuple[int, int], seed: int = 0) -> Embedding:
    shape = (sam.architecture.out_chans, sam.architecture.grid, sam.architecture.grid)
    features = 0.1 * np.random.default_rng(seed).standard_normal(shape)
    return sam.restore(features.astype(np.float32), size)


def prompts(size: tuple[int, int], boxes: bool, count: int = 5) -> Prompts:
    height, width = size
    points = np.random.default_rng(count).random((count, 2)) * [width, height]
    return Prompts(points, np.concatenate([points * 0.8, points * 1.1], axis=1) if boxes else None)


def package_tokens(sam: SamModel, seen: Embedding, asked: Prompts) -> torch.Tensor:
    """Prompts as ``SamPredictor`` passes them on: scaled to the encoder's input."""
    scale = np.array(seen.input_size[::-1]) / np.array(seen.image_size[::-1])
    labels = torch.ones(len(asked), 1, dtype=torch.int)
    corners = None if asked.boxes is None else torch.as_tensor(asked.boxes * np.tile(scale, 2))
    points = torch.as_tensor(asked.points * scale)[:, None]
    sparse: torch.Tensor
    sparse, _ = sam.network.prompt_encoder(points=(points, labels), boxes=corners, masks=None)
    return sparse


def package_masks(
    sam: SamModel,
    seen: Embedding,
    asked: Prompts,
    change: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.clone,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B * 3, h, w) and predicted IoU (B * 3,) by the package's decoder in float64.

    All that it takes, weights, features and tokens, goes through `change` before.
    """
    encoder, grid = sam.network.prompt_encoder, sam.architecture.grid
    decoder = copy.deepcopy(sam.network.mask_decoder).double()
    for weight in decoder.parameters():
        weight.copy_(change(weight))
    dense = change(encoder.no_mask_embed.weight.double()).view(1, -1, 1, 1)
    low, quality = decoder(
        image_embeddings=change(seen.features.double()),
        image_pe=change(encoder.get_dense_pe().double()),
        sparse_prompt_embeddings=change(package_tokens(sam, seen, asked).double()),
        dense_prompt_embeddings=dense.expand(len(asked), -1, grid, grid),
        multimask_output=True,
    )
    height, width = seen.resize.low_shape
    return low[:, :, :height, :width].flatten(0, 1), quality.flatten()


def exactly(
    sam: SamModel, seen: Embedding, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Our decoder in float64, of embedded prompts (B, P, C)."""
    encoder = sam.network.prompt_encoder
    decoder = copy.deepcopy(sam.network.mask_decoder).double()
    dense, position = encoder.no_mask_embed.weight[0].double(), encoder.get_dense_pe().double()
    side = image_side(decoder, seen.features.double(), dense, position)
    return decode_tokens(decoder, side, tokens.double(), 0.0, seen.resize.low_shape)


def error(ours: torch.Tensor, truth: torch.Tensor) -> float:
    """Root mean square difference as a share of the truth's standard deviation."""
    return float((ours.double() - truth).square().mean().sqrt() / truth.std())


class Rounding(NamedTuple):
    """How far float32 may be off: by :func:`error`, in any logit, in any score."""

    error: float
    logit: float
    score: float


def allowed_rounding(sam: SamModel, seen: Embedding, asked: Prompts) -> Rounding:
    """What float32 may cost this network, on any processor.

    Random layer norms magnify rounding, each network by another factor. That factor shows
    in float64: each weight, feature and token is moved by up to one unit of float32's last
    place, which is what it costs to round every number once. A sum of C channels, in
    whatever order a processor takes them, costs about sqrt(C) times as much. (Attention
    to N features does not: its weights sum to 1.)
    """
    truth, scores = package_masks(sam, seen, asked)
    once = [0.0, 0.0, 0.0]
    for seed in range(8):
        draw = torch.Generator().manual_seed(seed)
        low, quality = package_masks(sam, seen, asked, functools.partial(nudged, draw=draw))
        differences = (low - truth).abs().max(), (quality - scores).abs().max()
        once = list(map(max, once, (error(low, truth), *map(float, differences))))
    return Rounding(*(sam.architecture.out_chans**0.5 * cost for cost in once))


def nudged(values: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Float64 values, each moved by at most one unit in float32's last place."""
    ulp = torch.finfo(torch.float32).eps
    return values * (1 + ulp * (2 * torch.rand(values.shape, generator=draw).double() - 1))


@pytest.fixture(autouse=True)
def inference() -> Any:
    with torch.inference_mode():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("boxes", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_is_the_packages_decoder_but_for_rounding(
    name: str, size: tuple[int, int], boxes: bool
) -> None:
    sam = model(SHAPES[name])
    seen, asked = embedding(sam, size), prompts(size, boxes)
    truth, scores = package_masks(sam, seen, asked)
    low, quality, owners = exactly(sam, seen, package_tokens(sam, seen, asked))
    assert low.shape == truth.shape == (15, *seen.resize.low_shape)
    assert error(low, truth) < 1e-9
    torch.testing.assert_close(quality, scores, rtol=0, atol=1e-9)
    assert owners.tolist() == np.repeat(np.arange(5), 3).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("boxes", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("name", SHAPES)
def test_rounds_as_little_as_float32_can(name: str, boxes: bool) -> None:
    sam, size = model(SHAPES[name]), (90, 140)
    seen, asked = embedding(sam, size), prompts(size, boxes)
    truth, scores = package_masks(sam, seen, asked)
    allowed = allowed_rounding(sam, seen, asked)
    ours = sam.decode(seen, asked, 0.0)
    assert ours.low.dtype == ours.scores.dtype == torch.float32
    assert error(ours.low, truth) < allowed.error < 0.02
    torch.testing.assert_close(ours.scores.double(), scores, rtol=0, atol=allowed.score)
    sure = truth.abs() > allowed.logit
    assert sure.double().mean() > 0.5
    assert torch.equal((ours.low > 0)[sure], (truth > 0)[sure])


def test_only_masks_above_the_least_score_are_made() -> None:
    sam, size = model(), (90, 140)
    seen, asked = embedding(sam, size), prompts(size, boxes=False)
    every = sam.decode(seen, asked, 0.0)
    least = float(every.scores.median())
    kept = every.scores > least
    some = sam.decode(seen, asked, least)
    assert 0 < len(some) < len(every)
    assert torch.equal(some.scores, every.scores[kept])
    assert torch.equal(some.owners, every.owners[kept])
    torch.testing.assert_close(some.low, every.low[kept], rtol=1e-4, atol=1e-4)


def test_nothing_passes_a_score_that_nobody_reaches() -> None:
    sam, size = model(), (140, 90)
    seen = embedding(sam, size)
    none = sam.decode(seen, prompts(size, boxes=True), 9.0)
    assert none.low.shape == (0, *seen.resize.low_shape)
    assert len(none) == len(none.owners) == 0


def test_no_prompts_no_masks() -> None:
    sam = model()
    seen = embedding(sam, (90, 140))
    none = sam.decode(seen, Prompts(np.zeros((0, 2))), 0.0)
    assert none.low.shape == (0, *seen.resize.low_shape)
    assert none.scores.shape == none.owners.shape == (0,)


def test_scores_below_zero_pass_when_nothing_is_asked() -> None:
    sam, size = model.__wrapped__(), (90, 140)
    sam.network.mask_decoder.iou_prediction_head.layers[-1].bias -= 10
    seen, asked = embedding(sam, size), prompts(size, boxes=False)
    assert len(sam.decode(seen, asked, 0.0)) == len(sam.decode(seen, asked, -1.0)) == 15
    assert len(sam.decode(seen, asked, 0.1)) == 0


def test_a_prompt_is_answered_alike_in_any_company() -> None:
    sam, size = model(), (90, 140)
    seen, asked = embedding(sam, size), prompts(size, boxes=True)
    # Embedded once: the package embeds prompts in float32, whose rounding company changes.
    tokens = package_tokens(sam, seen, asked)
    together = exactly(sam, seen, tokens)
    apart = [exactly(sam, seen, tokens[i : i + 1]) for i in range(len(asked))]
    torch.testing.assert_close(torch.cat([low for low, _, _ in apart]), together[0])
    torch.testing.assert_close(torch.cat([scores for _, scores, _ in apart]), together[1])


def test_attention_that_leaves_nothing_to_most_features_is_no_trouble() -> None:
    # Weights below 1e-38 would be so slow that they are set to 0: that may change nothing.
    sam, size = model(sharper=30.0), (90, 140)
    seen, asked = embedding(sam, size), prompts(size, boxes=False)
    truth, scores = package_masks(sam, seen, asked)
    low, quality, _ = exactly(sam, seen, package_tokens(sam, seen, asked))
    assert error(low, truth) < 1e-9
    torch.testing.assert_close(quality, scores, rtol=0, atol=1e-9)


# The model around it


def test_features_that_were_kept_give_the_same_embedding() -> None:
    sam, pixels = model(), bubbles(90, 140)
    fresh = sam.encode(pixels)
    kept = fresh.features[0].numpy().copy()
    kept.setflags(write=False)
    again = sam.restore(kept, (90, 140))
    assert torch.equal(again.features, fresh.features)
    assert (again.input_size, again.image_size) == (fresh.input_size, (90, 140))
    one, other = (sam.decode(e, prompts((90, 140), boxes=False), 0.0) for e in (fresh, again))
    assert torch.equal(one.low, other.low)
    assert torch.equal(one.scores, other.scores)


@pytest.mark.parametrize(
    "features", [np.zeros((32, 8, 8), np.float32), np.zeros((32, 16, 16))], ids=["size", "type"]
)
def test_features_of_another_network_are_refused(features: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected features float32 \(32, 16, 16\), got"):
        model().restore(features, (90, 140))


def test_prompts_are_checked_and_can_be_cut() -> None:
    points, boxes = np.zeros((3, 2)), np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"points of shape \(B, 2\), got \(2,\)"):
        Prompts(points[0])
    with pytest.raises(ValueError, match=r"boxes of shape \(3, 4\), got \(2, 4\)"):
        Prompts(points, boxes[:2])
    part = Prompts(points, boxes)[1:]
    assert len(part) == 2
    assert part.boxes is not None
    assert part.boxes.shape == (2, 4)
