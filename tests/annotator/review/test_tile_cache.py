"""Tiles from memory, disk and anew: kept, bounded, and never of other objects."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.review_objects import held

from annotator.imaging.read import read_image
from annotator.pictures.object_tiles import ZOOM, encode, no_tile
from annotator.review.object_index import IndexedObjects, ObjectIndex
from annotator.review.tile_cache import DecodedImages, TileCache, read_pack, write_pack
from annotator.settings.images import ReadSettings

COLOURS = {None: (150, 150, 150), 0: (0, 128, 0), 1: (128, 0, 0)}


def pictured(folder: Path, number: int = 0, key: str = "look") -> IndexedObjects:
    """Two objects of an image that lies in a folder."""
    pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    path = folder / f"{number}.png"
    cv2.imwrite(str(path), pixels)
    labels = np.zeros((60, 80), np.int32)
    labels[5:25, 5:30], labels[30:55, 40:70] = 1, 2
    found = held(labels)
    image = replace(found.image, id=read_image(path, ReadSettings()).id, source=str(path))
    return replace(found, image=image, objects_key=key)


def object_index(*images: IndexedObjects) -> ObjectIndex:
    return ObjectIndex({one.image.id: one for one in images})


def made(folder: Path, images: ObjectIndex, **more: int) -> TileCache:
    """All tiles made ahead, and nothing left running."""
    found = TileCache(folder, ReadSettings(), COLOURS, **more)
    found.start(images, lambda held, at: 0)
    found.wait()
    found.stop()
    return found


def test_tiles_made_ahead_are_those_made_when_asked(tmp_path: Path):
    one = pictured(tmp_path)
    fresh = TileCache(tmp_path / "none", ReadSettings(), COLOURS)
    right = [fresh.tile(one, at, 0) for at in range(2)]
    made(tmp_path / "tiles", object_index(one))
    Path(one.image.source).unlink()
    again = TileCache(tmp_path / "tiles", ReadSettings(), COLOURS)
    assert [again.tile(one, at, 0) for at in range(2)] == right
    assert right[0] != right[1]
    assert again.tile(one, 0, 1) == encode(no_tile())


def test_a_tile_of_another_class_is_drawn_anew(tmp_path: Path):
    one = pictured(tmp_path)
    found = made(tmp_path / "tiles", object_index(one))
    green = found.tile(one, 0, 0)
    assert found.tile(one, 0, 1) != green
    assert found.tile(one, 0, None) not in (green, found.tile(one, 0, 1))
    assert found.tile(one, 0, 0) == green
    assert found.tile(one, 0, 0, ZOOM) != green


def test_other_objects_have_other_tiles(tmp_path: Path):
    one = pictured(tmp_path)
    found = made(tmp_path / "tiles", object_index(one))
    other = replace(pictured(tmp_path, key="other"), boxes=one.boxes[::-1], bits=one.bits[::-1])
    assert found.tile(other, 0, 0) == found.tile(one, 1, 0)
    assert found.tile(other, 0, 0) != found.tile(one, 0, 0)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 8, b"\0" * 7 + b"\x05[1,2]", b"\0" * 100])
def test_a_damaged_file_of_tiles_is_made_again(tmp_path: Path, damage: bytes):
    one = pictured(tmp_path)
    right = made(tmp_path / "tiles", object_index(one)).tile(one, 0, 0)
    (path,) = (tmp_path / "tiles").glob("*.tiles")
    path.write_bytes(damage)
    assert TileCache(tmp_path / "tiles", ReadSettings(), COLOURS).tile(one, 0, 0) == right


def test_a_cut_file_of_tiles_gives_no_half_tile(tmp_path: Path):
    pack = write_pack(tmp_path / "a.tiles", {"1:0": b"first", "2:None": b"second"})
    again = read_pack(tmp_path / "a.tiles")
    assert again == pack
    assert (pack.read(1, 0), pack.read(2, None), pack.read(2, 0)) == (b"first", b"second", None)
    data = pack.path.read_bytes()
    pack.path.write_bytes(data[: data.index(b"second") + 2])
    assert (pack.read(1, 0), pack.read(2, None)) == (b"first", None)
    assert read_pack(pack.path) is None
    pack.path.unlink()
    assert pack.read(1, 0) is None
    assert read_pack(pack.path) is None


def test_the_oldest_files_go_when_there_are_too_many(tmp_path: Path):
    images = [pictured(tmp_path, number) for number in range(3)]
    folder = tmp_path / "tiles"
    for age, one in enumerate(images[:2]):
        made(folder, object_index(one))
        (path,) = folder.glob(f"{one.image.id}-*.tiles")
        os.utime(path, ns=(age, age))
    size = path.stat().st_size
    made(folder, object_index(images[2]), disk_bytes=int(2.5 * size))
    left = {path.name.partition("-")[0] for path in folder.glob("*.tiles")}
    assert left == {one.image.id for one in images[1:]}


def test_an_image_that_changed_is_not_shown(tmp_path: Path):
    one = pictured(tmp_path)
    cv2.imwrite(one.image.source, np.zeros((60, 80, 3), np.uint8))
    found = TileCache(tmp_path / "tiles", ReadSettings(), COLOURS)
    assert found.tile(one, 0, 0) == encode(no_tile())
    assert found.picture(one) == encode(no_tile())
    made(tmp_path / "tiles", object_index(one))
    assert not list((tmp_path / "tiles").glob("*.tiles"))


def test_decoded_images_are_kept_up_to_a_size(tmp_path: Path):
    images = [pictured(tmp_path, number) for number in range(3)]
    decoded = DecodedImages(ReadSettings(), most=2 * 60 * 80 * 3)
    first = [decoded(one) for one in images]
    assert decoded(images[2]) is first[2]
    assert decoded(images[0]) is not first[0]


def test_stopping_in_the_middle_leaves_whole_files(tmp_path: Path):
    images = object_index(*(pictured(tmp_path, number) for number in range(6)))
    found = TileCache(tmp_path / "tiles", ReadSettings(), COLOURS)
    found.prefer(list(images.indexed)[::-1])
    found.start(images, lambda held, at: 1)
    found.stop()
    packs = [read_pack(path) for path in (tmp_path / "tiles").glob("*")]
    assert all(pack is not None and len(pack.places) == 2 for pack in packs)
