"""Two PNG an image become its label maps; everything else is refused with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from annotator.core.errors import StudyError
from annotator.imaging.codecs import encode_png, encode_rgb_png
from annotator.imaging.label_map_files import (
    read_codes,
    read_corrected_codes,
    read_instances,
    read_label_maps,
)

CODES = np.array([[1, 1, 2], [3, 255, 0]], np.uint8)
INSTANCES = np.array([[7, 7, 0], [9, 0, 0]], np.uint16)


def put(folder: Path, codes: bytes, instances: bytes | None = None) -> tuple[Path, Path]:
    paths = folder / "a.png", folder / "instances.png"
    paths[0].write_bytes(codes)
    if instances is not None:
        paths[1].write_bytes(instances)
    return paths


def test_both_files_become_label_maps(tmp_path: Path) -> None:
    maps = read_label_maps(*put(tmp_path, encode_png(CODES), encode_png(INSTANCES)), (2, 3))
    assert np.array_equal(maps.classes, CODES)
    assert np.array_equal(maps.instances, INSTANCES)
    assert maps.instances.dtype == np.int32


def test_without_instances_connected_fat_and_bone_are_them(tmp_path: Path) -> None:
    maps = read_label_maps(*put(tmp_path, encode_png(CODES)))
    assert maps.instances.tolist() == [[1, 1, 0], [2, 0, 0]]


def test_instances_follow_classes_that_a_person_changed(tmp_path: Path) -> None:
    corrected = CODES.copy()
    corrected[0] = 2, 1, 1
    maps = read_label_maps(*put(tmp_path, encode_png(corrected), encode_png(INSTANCES)))
    assert maps.instances.tolist() == [[0, 7, 10], [9, 0, 0]]


def test_instances_can_be_taken_as_they_are(tmp_path: Path) -> None:
    path, _ = put(tmp_path, encode_png(INSTANCES.astype(np.uint8)))
    found = read_instances(path, (2, 3), ("uint8", "uint16"))
    assert found.dtype == np.uint8
    assert np.array_equal(found, INSTANCES)


SAVE = "save it as grey of 8 bits in the size of its image, or take it away"
DROP = "take it away: connected fat and bone then become instances"


@pytest.mark.parametrize(
    ("codes", "instances", "message"),
    [
        (b"scribble", None, f"a.png: expected a grey PNG of 8 or 16 bits, got no picture; {SAVE}"),
        (encode_rgb_png(np.zeros((2, 3, 3), np.uint8)), None, "got (2, 3, 3) uint8"),
        (encode_png(CODES.T), None, f"a.png: expected (2, 3) uint8, got (3, 2) uint8; {SAVE}"),
        (
            encode_png(INSTANCES),
            None,
            f"expected (2, 3) uint8, got (2, 3) uint16; are these instances? {SAVE}",
        ),
        (encode_png(CODES + 4), None, f"a.png: expected codes 0-3 and 255, got 5; {SAVE}"),
        (
            encode_png(CODES),
            encode_png(INSTANCES.T),
            f"instances.png: expected (2, 3) uint16, got (3, 2) uint16; {DROP}",
        ),
        (
            encode_png(CODES),
            encode_png(CODES),
            f"instances.png: expected (2, 3) uint16, got (2, 3) uint8; {DROP}",
        ),
        (encode_png(CODES), b"", "instances.png: expected a grey PNG of 8 or 16 bits, got no pic"),
    ],
)
def test_what_is_no_label_map_is_refused(
    tmp_path: Path, codes: bytes, instances: bytes | None, message: str
) -> None:
    with pytest.raises(StudyError, match=re.escape(message)):
        read_label_maps(*put(tmp_path, codes, instances), (2, 3))


BLACK_AND_WHITE = np.where(CODES == 1, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("instances", [None, encode_png(INSTANCES)])
def test_black_and_white_is_refused_also_in_the_place_of_a_mask_with_instances(
    tmp_path: Path, instances: bytes | None
) -> None:
    paths = put(tmp_path, encode_png(BLACK_AND_WHITE), instances)
    for read in (read_label_maps, read_corrected_codes):
        with pytest.raises(StudyError, match="got 0 and 255 alone"):
            read(*paths)


def test_background_alone_is_taken_where_a_file_says_that_there_is_no_instance(
    tmp_path: Path,
) -> None:
    paths = put(tmp_path, encode_png(BLACK_AND_WHITE), encode_png(0 * INSTANCES))
    assert np.array_equal(read_corrected_codes(*paths), BLACK_AND_WHITE)
    assert np.array_equal(read_label_maps(*paths).classes, BLACK_AND_WHITE)


def test_the_advice_of_the_place_is_given(tmp_path: Path) -> None:
    paths = put(tmp_path, encode_png(CODES), encode_png(CODES))
    with pytest.raises(StudyError, match=r"got .* uint8; annotate again$"):
        read_label_maps(*paths, advice="annotate again")
    with pytest.raises(StudyError, match=r"got .* uint8; annotate again$"):
        read_codes(paths[0], (9, 9), "annotate again")


def test_a_file_that_is_not_there_or_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(StudyError, match=r"cannot be read: .*; restore it"):
            read_codes(path)
