"""Objects and features on disk: equal after a round trip, equal bytes, damage noticed."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from annotator.core.objects import OBJECT_SOURCES, ImageObjects, objects_from_masks
from annotator.study.objects_file import (
    ImageFeatures,
    OutdatedError,
    Proposals,
    pack,
    unpack,
    unpack_keys,
    unpack_proposals,
    unpack_with_network,
)
from features.table import FeatureTable


def some_objects(count: int, seed: int = 0) -> ImageObjects:
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        height, width = rng.integers(1, 9, 2)
        mask = rng.random((height, width)) < 0.6
        mask[0, 0] = mask[-1, -1] = True
        parts.append(((int(rng.integers(0, 20)), int(rng.integers(0, 30))), mask))
    scores = [float("nan"), *rng.random(max(0, count - 1)).tolist()][:count]
    made = objects_from_masks("0123456789abcdef", (32, 48), parts, scores)
    return replace(made, sources=rng.integers(0, len(OBJECT_SOURCES), count).astype(np.uint8))


def described(objects: ImageObjects) -> ImageFeatures:
    n = len(objects)
    values = np.arange(n * 2, dtype=float).reshape(n, 2)
    values[:1] = np.nan
    ids = np.full(n, objects.image_id, dtype="<U16")
    table = FeatureTable(ids, objects.ids, values, ("a_px", "größe"), "f" * 16)
    stained = np.arange(np.prod(objects.shape)).reshape(objects.shape) % 3 == 0
    return ImageFeatures("look", objects, table, (0.25, 0.5, 0.25), 3, stained)


def test_the_classes_of_a_network_are_read_where_they_are_asked_for():
    seen = described(some_objects(3))
    proposed = Proposals("propose", seen.objects)
    classes = np.arange(np.prod(seen.objects.shape), dtype=np.uint8).reshape(seen.objects.shape) % 4
    data = pack(proposed, replace(seen, network_classes=classes))
    read = unpack_with_network(data).network_classes
    assert read is not None
    assert np.array_equal(read, classes)
    assert unpack(data).network_classes is None
    assert unpack_with_network(pack(proposed, seen)).network_classes is None
    with pytest.raises(ValueError, match="network_classes must be"):
        replace(seen, network_classes=classes[:-1])


def same(one: ImageObjects, two: ImageObjects) -> bool:
    arrays = ("ids", "boxes", "sources", "scores", "stability")
    return (
        (one.image_id, one.shape) == (two.image_id, two.shape)
        and all(
            np.array_equal(getattr(one, a), getattr(two, a), equal_nan=a in arrays[3:])
            for a in arrays
        )
        and all(np.array_equal(x, y) for x, y in zip(one.crops, two.crops, strict=True))
    )


@pytest.mark.parametrize("count", [0, 1, 25])
def test_a_round_trip_keeps_everything(count):
    proposals, kept = some_objects(count + 3), described(some_objects(count, 1))
    data = pack(Proposals("proposed", proposals), kept)
    back = unpack(data)
    assert same(back.objects, kept.objects)
    assert np.array_equal(back.stained, kept.stained)
    assert np.array_equal(back.table.X, kept.table.X, equal_nan=True)
    assert back.table.names == kept.table.names
    assert (back.key, back.coverage, back.dropped) == ("look", (0.25, 0.5, 0.25), 3)
    assert back.table.fingerprint == kept.table.fingerprint
    assert back.table.image_ids.tolist() == kept.table.image_ids.tolist()
    assert unpack_keys(data) == ("proposed", "look")
    assert unpack_proposals(data).key == "proposed"
    assert same(unpack_proposals(data).objects, proposals)


def test_the_bytes_depend_on_the_content_alone():
    first = pack(Proposals("p", some_objects(9)), described(some_objects(5)))
    assert first == pack(Proposals("p", some_objects(9)), described(some_objects(5)))
    assert first != pack(Proposals("q", some_objects(9)), described(some_objects(5)))


@pytest.mark.slow
def test_damage_anywhere_is_noticed():
    data = pack(Proposals("p", some_objects(12)), described(some_objects(8)))
    rng = np.random.default_rng(5)
    for at in rng.integers(0, len(data), 300):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(0, 8))
        try:
            back = unpack(bytes(broken))
        except ValueError:
            continue
        # Dates, versions and attributes of the zip members carry no content of ours.
        assert same(back.objects, some_objects(8))


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_noticed(keep):
    data = pack(Proposals("p", some_objects(12)), described(some_objects(8)))
    part = data[: int(keep * len(data)) if isinstance(keep, float) else keep]
    for read in (unpack, unpack_keys, unpack_proposals):
        with pytest.raises(ValueError):
            read(part)


def test_a_file_of_an_older_format_is_outdated_and_not_damaged():
    data = pack(Proposals("p", some_objects(2)), described(some_objects(2)))
    with np.load(io.BytesIO(data)) as arrays:
        older = {name: arrays[name] for name in arrays.files if not name.endswith(".makers")}
    header = json.loads(older["header"].tobytes()) | {"format": 1}
    older["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **older)
    for read in (unpack, unpack_keys, unpack_proposals):
        with pytest.raises(OutdatedError, match=r"format 3, .*1"):
            read(buffer.getvalue())


def test_a_table_of_other_objects_is_refused():
    table = described(some_objects(4)).table
    with pytest.raises(ValueError):
        ImageFeatures(
            "k", some_objects(5), table, (0.0, 1.0, 0.0), 0, described(some_objects(4)).stained
        )
