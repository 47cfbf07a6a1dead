"""The whole table: shape, names, invariances, edge cases."""

import numpy as np
import pytest

from annotator.core.errors import SettingsError
from annotator.core.objects import Image, ImageObjects, image_id, objects_from_masks
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import DescribeSettings
from features import neighbours
from features.describe import OWN_COLUMNS, batches, columns, describe, feature_names
from features.table import FeatureTable, concatenate

SETTINGS = DescribeSettings()
# These look beyond the object: at other objects, or at a window of the image's own size.
SEES_OTHERS = {
    "neighbour_count",
    *(column.name for column in neighbours.COLUMNS),
}
# Directional by nature, or traced on a grid that the turn changes a little.
SHARES_OF_IMAGE = {"local_cellularity"}


def disc(radius: float) -> np.ndarray:
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.hypot(x, y) <= radius


@pytest.fixture(scope="module")
def field() -> Image:
    """Pink noise with purple nuclei and two white discs, one of them cut by the border."""
    rng = np.random.default_rng(7)
    pixels = np.array([214.0, 140.0, 185.0]) + rng.normal(0, 12, (120, 160, 3))
    y, x = np.mgrid[:120, :160]
    for cy, cx in rng.integers(0, 120, (30, 2)):
        pixels[np.hypot(y - cy, x - cx) < 4] = (90, 60, 130)
    for cy, cx in ((50, 60), (90, 159)):
        pixels[np.hypot(y - cy, x - cx) < 20] = (244, 242, 245)
    return Image.from_pixels(np.clip(pixels, 0, 255).astype(np.uint8), um_per_px=0.5)


@pytest.fixture(scope="module")
def objects(field: Image) -> ImageObjects:
    square = np.ones((17, 23), bool)
    holed = square.copy()
    holed[5:9, 5:9] = False
    parts = [
        ((30, 40), disc(20)),
        ((70, 139), disc(20)[:, :21]),
        ((5, 5), square),
        ((12, 15), holed),  # overlaps the one before
        ((80, 20), disc(1)),
        ((100, 70), np.ones((1, 1), bool)),
        ((0, 0), np.ones(field.shape, bool)),
        ((60, 0), np.ones((2, 160), bool)),
    ]
    return objects_from_masks(field.id, field.shape, parts)


@pytest.fixture(scope="module")
def table(field: Image, objects: ImageObjects) -> FeatureTable:
    return describe(Appearance(field), objects, SETTINGS)


def test_table_has_the_documented_columns(table: FeatureTable, objects: ImageObjects) -> None:
    assert table.names == feature_names(SETTINGS)
    assert 60 <= len(OWN_COLUMNS) <= 90
    assert len(set(table.names)) == len(table.names) == len(OWN_COLUMNS + neighbours.COLUMNS)
    assert table.object_ids.tolist() == objects.ids.tolist()
    assert set(table.image_ids) == {objects.image_id}
    for column in columns(SETTINGS):
        assert column.unit
        assert column.range
        assert column.doc.endswith(".")


def test_nan_only_where_the_column_says_so(table: FeatureTable) -> None:
    documented = [column.name for column in columns(SETTINGS) if "NaN" in column.range]
    assert not np.isinf(table.X).any()
    for name in table.names:
        if name not in documented:
            assert np.isfinite(table.column(name)).all(), name


def test_bounded_columns_stay_in_range(table: FeatureTable) -> None:
    for column in columns(SETTINGS):
        if column.range.split(",")[0] == "0..1":
            values = table.column(column.name)
            assert np.nanmin(values) >= 0, column.name
            assert np.nanmax(values) <= 1, column.name


def test_order_of_objects_does_not_matter(
    field: Image, objects: ImageObjects, table: FeatureTable
) -> None:
    order = np.array([5, 2, 7, 0, 6, 1, 4, 3])
    turned = describe(Appearance(field), objects.select(order), SETTINGS)
    np.testing.assert_array_equal(turned.X, table.X[order])


def test_other_objects_do_not_matter(
    field: Image, objects: ImageObjects, table: FeatureTable
) -> None:
    alone = describe(Appearance(field), objects.select(np.array([3])), SETTINGS)
    keep = [i for i, name in enumerate(table.names) if name not in SEES_OTHERS]
    np.testing.assert_allclose(alone.X[0, keep], table.X[3, keep], rtol=1e-6, atol=1e-9)


def test_batches_keep_every_object_in_order(objects: ImageObjects) -> None:
    parts = list(batches(objects, pixels=2000))
    assert len(parts) > 2
    assert np.concatenate([part.ids for part in parts]).tolist() == objects.ids.tolist()


@pytest.mark.slow
def test_batches_do_not_matter(field: Image, table: FeatureTable, objects: ImageObjects) -> None:
    """More than two batches' worth of copies of the same objects."""
    parts = [
        ((int(y), int(x)), crop)
        for (x, y), crop in zip(objects.boxes[:, :2], objects.crops, strict=True)
    ]
    many = objects_from_masks(field.id, field.shape, parts * 120)
    assert len(list(batches(many))) > 2
    keep = [i for i, name in enumerate(table.names) if name not in SEES_OTHERS]
    found = describe(Appearance(field), many, SETTINGS).X.reshape(120, 8, -1)[..., keep]
    np.testing.assert_allclose(found, np.broadcast_to(table.X[:, keep], found.shape), rtol=1e-12)


def test_translation_does_not_matter() -> None:
    """The same patch twice on a plain ground, far from each other and from the border."""
    rng = np.random.default_rng(3)
    pixels = np.full((200, 300, 3), (220, 170, 200), np.uint8)
    patch = rng.integers(60, 255, (40, 40, 3), dtype=np.uint8)
    pixels[80:120, 50:90] = pixels[80:120, 210:250] = patch
    image = Image.from_pixels(pixels)
    parts = [((90, 60), disc(10)), ((90, 220), disc(10))]
    objects = objects_from_masks(image.id, image.shape, parts)
    first, second = describe(Appearance(image), objects, SETTINGS).X
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("turn", ["flip", "rot90", "rot180"])
def test_flips_and_turns_hardly_matter(
    field: Image, objects: ImageObjects, table: FeatureTable, turn: str
) -> None:
    turns = {"flip": np.fliplr, "rot90": np.rot90, "rot180": lambda a: np.rot90(a, 2)}
    apply = turns[turn]
    pixels = np.ascontiguousarray(apply(field.pixels))
    image = Image.from_pixels(pixels, field.um_per_px)
    parts = [((0, 0), np.ascontiguousarray(apply(objects.full_mask(i)))) for i in range(8)]
    turned = describe(Appearance(image), objects_from_masks(image.id, image.shape, parts), SETTINGS)
    for name in table.names:
        expected, found = table.column(name), turned.column(name)
        tolerance = 0.02 * max(np.nanstd(expected), 1e-3)
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=tolerance, err_msg=name)


def test_no_objects_give_an_empty_table(field: Image) -> None:
    none = objects_from_masks(field.id, field.shape, [])
    for preset in ("trephine", "bambo"):
        settings = DescribeSettings(preset)
        table = describe(Appearance(field), none, settings)
        assert table.X.shape == (0, len(feature_names(settings)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (300, 1)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_tiny_and_flat_images(shape: tuple[int, int], value: int) -> None:
    image = Image.from_pixels(np.full((*shape, 3), value, np.uint8))
    objects = objects_from_masks(image.id, shape, [((0, 0), np.ones(shape, bool))])
    table = describe(Appearance(image), objects, SETTINGS)
    assert not np.isinf(table.X).any()
    assert table.column("area_share")[0] == 1
    assert table.column("touches_border")[0] == 1
    assert table.column("red_std")[0] == 0


def test_objects_of_another_image_are_refused(field: Image) -> None:
    other = objects_from_masks(field.id, (5, 5), [((0, 0), np.ones((2, 2), bool))])
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        describe(Appearance(field), other, SETTINGS)


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingsError, match='preset: expected one of "trephine", "bambo"'):
        DescribeSettings("paper")


def test_tables_join_across_images_with_and_without_scale(
    field: Image, objects: ImageObjects, table: FeatureTable
) -> None:
    unscaled = describe(Appearance(Image(field.id, field.pixels)), objects, SETTINGS)
    joined = concatenate([table, unscaled])
    logs = joined.column("log_area_um2")
    areas = objects.areas()
    np.testing.assert_allclose(logs[:8], np.log(areas * 0.25))
    assert np.isnan(logs[8:]).all()


def test_presets_do_not_join(field: Image, objects: ImageObjects, table: FeatureTable) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        concatenate([table, describe(Appearance(field), objects, DescribeSettings("bambo"))])


def test_inputs_stay_as_they_are(field: Image, objects: ImageObjects) -> None:
    before = [crop.copy() for crop in objects.crops]
    describe(Appearance(field), objects, SETTINGS)
    assert image_id(field.pixels) == field.id
    for crop, copy in zip(objects.crops, before, strict=True):
        np.testing.assert_array_equal(crop, copy)
