import hashlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.drawn_sam import DrawnModel, addressed, disc
from support.random_sam import bubbles, write_checkpoint
from support.stock_sam import stock_generator

from annotator.core.errors import ImageError, SettingsError
from annotator.core.objects import Image, ImageObjects, objects_from_masks
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.segmentation.sam.embedding_cache import EmbeddingCache
from annotator.segmentation.sam.model import Embedding, SamModel, fit_longest
from annotator.segmentation.sam.proposer import SamProposer, grid_points, load_sam, sam_fingerprint
from annotator.segmentation.sam.tiles import tiles
from annotator.segmentation.sam.weights import Checkpoint
from annotator.settings.sam import SamSettings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import phantom_set

LOOSE = SamSettings(
    mode="exact",
    points_per_side=7,
    pred_iou_thresh=0.7,
    stability_score_thresh=0.6,
    stability_score_offset=0.02,
    box_nms_thresh=0.9,
    min_mask_region_area=30,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def checkpoint(path: Path) -> Checkpoint:
    return Checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest(), path.name, "own")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SamModel:
    path = write_checkpoint(tmp_path_factory.mktemp("sam") / "small.pth", seed=7)
    return load_sam(checkpoint(path), "cpu")


def stock(model: SamModel, pixels: np.ndarray, settings: SamSettings) -> list[dict[str, Any]]:
    with stock_generator() as generator:
        known = inspect.signature(generator).parameters
        own = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name in known}
        return generator(model.network, **own).generate(pixels)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def assert_same_masks(ours: ImageObjects, theirs: list[dict[str, Any]]) -> None:
    """The same masks in the same order, but for a pixel whose logit is all but 0."""
    ious = [iou(ours.full_mask(i), r["segmentation"]) for i, r in enumerate(theirs)]
    assert min(ious) >= 0.98
    assert np.mean(ious) >= 0.999


SHAPES = [(90, 140), (140, 90), (128, 128), (31, 300), (61, 64)]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_stock_generator(model: SamModel, shape: tuple[int, int]) -> None:
    pixels = bubbles(*shape, seed=shape[0])
    theirs = stock(model, pixels, LOOSE)
    ours = SamProposer(LOOSE, model).propose(Appearance(Image.from_pixels(pixels)))

    assert len(ours) == len(theirs) >= 3
    assert_same_masks(ours, theirs)
    for index, record in enumerate(theirs):
        x, y, width, height = record["bbox"]
        box = [x, y, x + width + 1, y + height + 1]
        np.testing.assert_allclose(ours.boxes[index], box, atol=1)
    for ours_is, name in ((ours.scores, "predicted_iou"), (ours.stability, "stability_score")):
        np.testing.assert_allclose(ours_is, [r[name] for r in theirs], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"min_mask_region_area": 0},
        {"min_mask_region_area": 2000},
        {"box_nms_thresh": 0.3},
        {"box_nms_thresh": 0.7},
        {"box_nms_thresh": 1.0},
        {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.7},
        {"pred_iou_thresh": 0.99},
        {"stability_score_offset": 0.3},
        {"points_per_side": 1, "stability_score_thresh": 0.0},
    ],
    ids=str,
)
def test_equals_the_stock_generator_for_other_settings(
    model: SamModel, change: dict[str, float]
) -> None:
    pixels = bubbles(70, 100, seed=5)
    settings = replace(LOOSE, **change)  # type: ignore[arg-type]
    # Our objects are never empty; theirs can be, when nothing is asked of stability.
    theirs = [r for r in stock(model, pixels, settings) if r["segmentation"].any()]
    ours = SamProposer(settings, model).propose(Appearance(Image.from_pixels(pixels)))
    assert len(ours) == len(theirs) > 0
    assert_same_masks(ours, theirs)


def test_batch_size_changes_no_mask(model: SamModel) -> None:
    image = Image.from_pixels(bubbles(90, 140))
    one = SamProposer(replace(LOOSE, points_per_batch=1), model).propose(Appearance(image))
    many = SamProposer(replace(LOOSE, points_per_batch=64), model).propose(Appearance(image))
    assert len(one) == len(many) >= 4
    ious = [iou(one.full_mask(i), many.full_mask(i)) for i in range(len(one))]
    assert np.mean(ious) >= 0.999
    # Batches round otherwise; to each of the two test_decoder allows some 1e-4.
    np.testing.assert_allclose(one.scores, many.scores, atol=2e-4)


def test_the_same_image_gives_the_same_bytes(model: SamModel) -> None:
    image = Image.from_pixels(bubbles(90, 140))
    first, second = (SamProposer(LOOSE, model).propose(Appearance(image)) for _ in range(2))
    assert first.boxes.tobytes() == second.boxes.tobytes()
    assert [c.tobytes() for c in first.crops] == [c.tobytes() for c in second.crops]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_images_of_one_pixel_and_one_row_are_no_trouble(
    model: SamModel, shape: tuple[int, int]
) -> None:
    for mode in ("exact", "guided"):
        settings = SamSettings(mode=mode, points_per_side=2)
        objects = SamProposer(settings, model).propose(
            Appearance(Image.from_pixels(bubbles(*shape)))
        )
        assert objects.shape == shape


# The steps after the network, on masks drawn by hand


def drawn(masks: list[np.ndarray], scores: list[float], **settings: Any) -> ImageObjects:
    asked = SamSettings(mode="exact", **{"points_per_side": 16, **settings})
    proposer = SamProposer(asked, DrawnModel(masks, scores))
    return proposer.propose(Appearance(Image.from_pixels(addressed(masks[0].shape))))


def test_each_drawn_mask_comes_out_once_best_first() -> None:
    masks = [disc(20, 30, 15), disc(50, 90, 20)]
    objects = drawn(masks, [0.9, 0.95])
    assert len(objects) == 2
    np.testing.assert_array_equal(objects.full_mask(0), masks[1])
    np.testing.assert_array_equal(objects.full_mask(1), masks[0])
    np.testing.assert_allclose(objects.scores, [0.95, 0.9])
    np.testing.assert_array_equal(objects.stability, [1, 1])


def test_the_better_of_two_like_masks_stays() -> None:
    objects = drawn([disc(40, 60, 20), disc(40, 61, 20)], [0.9, 0.92])
    assert objects.scores.tolist() == [np.float32(0.92)]


def test_a_mask_that_sam_calls_poor_goes() -> None:
    assert len(drawn([disc(40, 60, 20)], [0.85])) == 0


def test_specks_and_pinholes_go_and_the_mask_stays() -> None:
    whole = disc(40, 60, 20)
    mask = whole & ~disc(40, 60, 3) | disc(5, 5, 3)
    np.testing.assert_array_equal(drawn([mask], [0.9]).full_mask(0), whole)
    np.testing.assert_array_equal(drawn([mask], [0.9], min_mask_region_area=0).full_mask(0), mask)


def test_out_of_memory_is_this_images_trouble() -> None:
    class Full(DrawnModel):
        def encode(self, pixels: np.ndarray) -> Embedding:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    proposer = SamProposer(SamSettings(), Full([], []))
    with pytest.raises(ImageError, match=r"120 x 80 .*points_per_batch"):
        proposer.propose(Appearance(Image.from_pixels(np.zeros((80, 120, 3), np.uint8))))


def test_other_faults_are_not_called_out_of_memory() -> None:
    class Broken(DrawnModel):
        def encode(self, pixels: np.ndarray) -> Embedding:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        SamProposer(SamSettings(), Broken([], [])).propose(
            Appearance(Image.from_pixels(np.zeros((80, 120, 3), np.uint8)))
        )


# Settings and keys


def test_the_published_preset() -> None:
    assert SamSettings.preset("bambo") == SamSettings(
        mode="exact",
        points_per_side=160,
        tile_px=0,
        pred_iou_thresh=0.85,
        stability_score_thresh=0.85,
        stability_score_offset=1.0,
        box_nms_thresh=0.7,
        min_mask_region_area=100,
    )
    assert SamSettings.preset("default") == SamSettings()
    with pytest.raises(SettingsError, match="default, bambo"):
        SamSettings.preset("paper")


@pytest.mark.parametrize(
    ("name", "value"),
    [("points_per_side", 0), ("pred_iou_thresh", 1.1), ("box_nms_thresh", -0.1), ("threads", -1)],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"\[sam\] {name}: expected at (least|most)"):
        SamSettings(**{name: value})  # type: ignore[arg-type]


def test_the_fingerprint_follows_what_shapes_the_result(model: SamModel) -> None:
    base = sam_fingerprint(SamSettings(), "a" * 64)
    assert len(base) == 16
    assert sam_fingerprint(SamSettings(), "b" * 64) != base
    assert sam_fingerprint(SamSettings(pred_iou_thresh=0.5), "a" * 64) != base
    assert sam_fingerprint(SamSettings(points_per_batch=64, threads=2), "a" * 64) == base
    proposer = SamProposer(LOOSE, model)
    assert proposer.name == "sam"
    assert proposer.fingerprint == sam_fingerprint(LOOSE, model.sha256)


def test_points_lie_in_the_middle_of_their_tiles() -> None:
    points = grid_points(3, (30, 60))
    np.testing.assert_allclose(points[:4], [[10, 5], [30, 5], [50, 5], [10, 15]])


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1200, 1920), (640, 1024)), ((1, 5000), (1, 1024)), ((683, 1025), (682, 1024))],
)
def test_fit_longest(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_longest(size, 1024) == expected


# Imports


@pytest.mark.slow
def test_importing_loads_no_torch() -> None:
    room = "annotator.segmentation"
    modules = f"{room}.sam.proposer, {room}.sam.weights, {room}.superpixel"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Tiles, kept embeddings, regions of another maker


def tiled(masks: list[np.ndarray], **settings: Any) -> tuple[ImageObjects, DrawnModel]:
    model = DrawnModel(masks, [0.95] * len(masks))
    asked = SamSettings(mode="exact", points_per_side=24, **settings)
    image = Image.from_pixels(addressed(masks[0].shape))
    return SamProposer(asked, model).propose(Appearance(image)), model


@pytest.mark.parametrize("side", [100, 130, 240])
def test_objects_that_seams_cut_come_out_once_and_whole(side: int) -> None:
    shape = (180, 240)
    bar = np.zeros(shape, bool)
    bar[150:172, 8:232] = True
    masks = [disc(y, x, 22, shape) for y in (30, 90) for x in (30, 90, 150, 210)] + [bar]
    objects, model = tiled(masks, tile_px=side, tile_overlap=40)
    assert model.encoded == len(tiles(shape, side, 40))
    assert len(objects) == len(masks)
    for mask in masks:
        assert max(iou(mask, objects.full_mask(i)) for i in range(len(objects))) == 1


def test_tiles_see_their_own_part_of_an_image_of_real_values(model: SamModel) -> None:
    """A tile's objects are those of the tile as an image of its own, but for the seams."""
    pixels = bubbles(128, 240, seed=3)
    settings = replace(LOOSE, tile_px=128, tile_overlap=16, points_per_side=10)
    objects = SamProposer(settings, model).propose(Appearance(Image.from_pixels(pixels)))
    assert objects.shape == (128, 240)
    assert len(objects) >= 3


def test_an_overlap_as_large_as_the_tile_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"tile_overlap: expected less than tile_px \(256\)"):
        SamSettings(tile_px=256, tile_overlap=256)


@pytest.mark.slow
def test_kept_embeddings_give_the_same_bytes_without_the_encoder(
    model: SamModel, tmp_path: Path
) -> None:
    cache = EmbeddingCache(tmp_path, 1 << 30, keep_free=0)
    image = Image.from_pixels(bubbles(90, 140))
    first, second = Stopwatch(), Stopwatch()
    one = SamProposer(LOOSE, model, cache).propose(Appearance(image), first)
    two = SamProposer(LOOSE, model, cache).propose(Appearance(image), second)
    plain = SamProposer(LOOSE, model).propose(Appearance(image))
    assert "embeddings kept" not in first.counts
    assert second.counts["embeddings kept"] == 1
    for other in (two, plain):
        assert one.boxes.tobytes() == other.boxes.tobytes()
        assert [c.tobytes() for c in one.crops] == [c.tobytes() for c in other.crops]


def test_embeddings_of_other_weights_are_not_taken(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 1 << 30, keep_free=0)
    image = Image.from_pixels(addressed((80, 120)))
    models = [DrawnModel([disc(40, 60, 20)], [0.9], sha256=digit * 64) for digit in "01"]
    for drawn_model in models:
        SamProposer(SamSettings(mode="exact", points_per_side=2), drawn_model, cache).propose(
            Appearance(image)
        )
    assert [m.encoded for m in models] == [1, 1]


def test_guided_asks_far_less_and_finds_the_white() -> None:
    phantom = make_phantom(phantom_set(8, (200, 250), 5)[3])
    instances = [phantom.instances == n for n in np.unique(phantom.instances)[1:]]
    whole = [m for m in instances if (m & (phantom.classes == 1)).sum() > 150]
    pixels = phantom.image.pixels.copy()
    # The drawn model tells a tile by the value of its first pixel.
    pixels[0, 0] = 0
    model = DrawnModel(whole, [0.95] * len(whole))
    watch = Stopwatch()
    settings = SamSettings(prompts_at_most=120)
    image = Image.from_pixels(pixels, phantom.image.um_per_px)
    objects = SamProposer(settings, model).propose(Appearance(image), watch)
    assert watch.counts["prompts"] == len(model.asked) <= 120
    best = [max(iou(m, objects.full_mask(i)) for i in range(len(objects))) for m in whole]
    assert len(whole) >= 5
    assert np.mean(np.array(best) > 0.9) >= 0.95


def test_regions_are_asked_for_first_with_their_boxes() -> None:
    masks = [disc(40, 30, 18), disc(40, 90, 18)]
    pixels = np.full((80, 120, 3), (150, 80, 160), np.uint8)
    pixels[masks[0] | masks[1]] = 245
    pixels[0, 0] = 0
    image = Image.from_pixels(pixels)
    regions = objects_from_masks(image.id, (80, 120), [((0, 0), masks[1])])
    model = DrawnModel(masks, [0.95, 0.95])
    found = SamProposer(SamSettings(), model).propose_from(Appearance(image), regions)
    assert model.boxes == [[73, 23, 108, 58]]
    assert model.asked[0] == (90, 40)
    assert len(found) == 2


def test_stages_and_counts_are_told(model: SamModel) -> None:
    watch = Stopwatch()
    SamProposer(LOOSE, model).propose(Appearance(Image.from_pixels(bubbles(90, 140))), watch)
    assert {"encode", "decode", "masks", "duplicates"} <= set(watch.seconds)
    assert watch.counts["prompts"] == 49
    assert watch.counts["tiles"] == 1
    assert watch.counts["masks"] > 0
