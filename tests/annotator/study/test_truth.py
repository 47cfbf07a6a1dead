"""``truth/``: whole or not at all, and never over a mask without keeping it."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.errors import StorageError, StudyError
from annotator.core.files import TEMPORARY, write_atomic
from annotator.core.label_maps import LabelMaps
from annotator.imaging.codecs import decode_png, encode_png
from annotator.study.truth import TruthFiles, TruthStore, truth_files

ZEROS = encode_png(np.zeros((4, 5), np.uint8))
ONE = TruthFiles(ZEROS)
TWO = TruthFiles(encode_png(np.full((4, 5), 2, np.uint8)))


def files(study: Path) -> dict[str, bytes]:
    paths = sorted((study / "truth").rglob("*.png"))
    return {path.relative_to(study / "truth").as_posix(): path.read_bytes() for path in paths}


def test_every_mask_is_kept(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    assert not store.exists("a")
    assert store.save("a", ONE).status == "new"
    assert store.save("a", ONE).status == "unchanged"
    assert list(files(tmp_path)) == ["a.png"]
    saved = store.save("a", TWO)
    assert saved.status == "replaced"
    assert saved.earlier_copy is not None
    assert saved.earlier_copy.read_bytes() == ONE.codes
    back = store.save("a", ONE)
    assert back.earlier_copy is not None
    assert back.earlier_copy.read_bytes() == TWO.codes
    assert files(tmp_path)["a.png"] == ONE.codes
    assert len(files(tmp_path)) == 3


def test_the_same_codes_packed_otherwise_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    _, loose = cv2.imencode(".png", np.zeros((4, 5), np.uint8), (cv2.IMWRITE_PNG_COMPRESSION, 0))
    (tmp_path / "truth" / "a.png").write_bytes(loose.tobytes())
    assert loose.tobytes() != ONE.codes
    assert TruthStore(tmp_path).save("a", ONE).status == "unchanged"


def test_a_file_that_is_no_mask_is_kept_too(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.png").write_bytes(b"scribble")
    saved = TruthStore(tmp_path).save("a", ONE)
    assert saved.earlier_copy is not None
    assert saved.earlier_copy.read_bytes() == b"scribble"


def test_a_full_disk_leaves_the_earlier_mask(tmp_path: Path) -> None:
    TruthStore(tmp_path).save("a", ONE)

    def full(path: Path, data: bytes) -> None:
        if "earlier" not in path.parts:
            raise StorageError("full")
        write_atomic(path, data)

    with pytest.raises(StorageError, match="full"):
        TruthStore(tmp_path, full).save("a", TWO)
    assert files(tmp_path)["a.png"] == ONE.codes


# Instances


def both(classes: list[int], instances: list[int]) -> TruthFiles:
    made = LabelMaps(np.array([classes], np.uint8), np.array([instances], np.int32))
    return truth_files(made)


def test_instances_come_back_as_they_went(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    store.save("a", both([1, 1, 2, 3, 255], [4, 4, 0, 9, 0]))
    found = store.read("a")
    assert found is not None
    assert found.classes.tolist() == [[1, 1, 2, 3, 255]]
    assert found.instances.tolist() == [[4, 4, 0, 9, 0]]
    assert store.read("b") is None


def test_other_numbers_of_the_same_objects_are_unchanged(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    store.save("a", both([1, 1, 2, 3], [4, 4, 0, 9]))
    assert store.save("a", both([1, 1, 2, 3], [1, 1, 0, 2])).status == "unchanged"
    found = store.read("a")
    assert found is not None
    assert found.instances.max() == 9


@pytest.mark.parametrize("instances", [[4, 5, 0, 9], [4, 4, 0, 9]])
def test_other_objects_of_the_same_classes_replace_them(
    tmp_path: Path, instances: list[int]
) -> None:
    store = TruthStore(tmp_path)
    before = [4, 4, 0, 9] if instances[1] == 5 else [4, 5, 0, 9]
    store.save("a", both([1, 1, 2, 3], before))
    saved = store.save("a", both([1, 1, 2, 3], instances))
    assert saved.status == "replaced"
    assert saved.earlier_copy is not None
    earlier = decode_png(
        (saved.earlier_copy.parent / "instances" / saved.earlier_copy.name).read_bytes()
    )
    assert earlier.tolist() == [before]
    found = store.read("a")
    assert found is not None
    assert found.instances.tolist() == [instances]


def test_a_mask_without_instances_gets_them_and_stays_the_same(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    codes = both([1, 1, 2, 3], [4, 4, 0, 9]).codes
    store.save("a", TruthFiles(codes))
    assert store.save("a", both([1, 1, 2, 3], [4, 4, 0, 9])).status == "unchanged"
    assert store.instances_path("a").is_file()
    assert not (tmp_path / "truth" / "earlier").exists()


def test_classes_without_instances_take_the_old_ones_away(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    store.save("a", both([1, 1, 2, 3], [4, 4, 0, 9]))
    saved = store.save("a", TruthFiles(both([3, 3, 2, 3], [1, 1, 0, 1]).codes))
    assert saved.status == "replaced"
    assert not store.instances_path("a").exists()
    found = store.read("a")
    assert found is not None
    assert found.instances.tolist() == [[1, 1, 0, 2]]


def test_a_kill_between_the_two_files_leaves_a_mask_that_can_be_read(tmp_path: Path) -> None:
    TruthStore(tmp_path).save("a", both([1, 1, 2, 3], [4, 4, 0, 9]))

    def killed(path: Path, data: bytes) -> None:
        if path == TruthStore(tmp_path).path("a"):
            raise StorageError("killed")
        write_atomic(path, data)

    with pytest.raises(StorageError, match="killed"):
        TruthStore(tmp_path, killed).save("a", both([3, 1, 2, 2], [5, 6, 0, 0]))
    found = TruthStore(tmp_path).read("a")
    assert found is not None
    assert found.classes.tolist() == [[1, 1, 2, 3]]
    assert (found.instances > 0).tolist() == [[True, True, False, True]]


def test_more_instances_than_sixteen_bits_are_numbered_anew(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    store.save("a", both([1, 3], [70000, 70001]))
    found = store.read("a")
    assert found is not None
    assert found.instances.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("codes", "instances", "words"),
    [
        (np.full((2, 2), 7, np.uint8), None, "codes 0-3 and 255, got 7"),
        (np.zeros((2, 2), np.uint16), None, "expected (2, 2) uint8, got (2, 2) uint16"),
        (
            np.ones((2, 2), np.uint8),
            np.ones((3, 2), np.uint16),
            "expected (2, 2) uint16, got (3, 2)",
        ),
        (
            np.ones((2, 2), np.uint8),
            np.ones((2, 2), np.uint8),
            "expected (2, 2) uint16, got (2, 2) uint8",
        ),
    ],
)
def test_what_is_no_mask_is_not_read(
    tmp_path: Path,
    codes: NDArray[np.uint8],
    instances: NDArray[np.uint16] | None,
    words: str,
) -> None:
    (tmp_path / "truth" / "instances").mkdir(parents=True)
    (tmp_path / "truth" / "a.png").write_bytes(encode_png(codes))
    if instances is not None:
        (tmp_path / "truth" / "instances" / "a.png").write_bytes(encode_png(instances))
    with pytest.raises(StudyError, match=re.escape(words)):
        TruthStore(tmp_path).read("a")


def test_what_a_kill_left_behind_goes(tmp_path: Path) -> None:
    for place in ("truth", "truth/instances", "truth/earlier/instances"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f".a.png.7{TEMPORARY}").write_bytes(b"half")
    TruthStore(tmp_path).tidy()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_mask_that_is_set_aside_is_no_truth_and_kept(tmp_path: Path) -> None:
    store = TruthStore(tmp_path)
    assert store.set_aside("a") is None
    maps = LabelMaps(np.array([[1, 2]], np.uint8), np.array([[4, 0]], np.int32))
    store.save("a", truth_files(maps))
    codes = store.path("a").read_bytes()
    instances = store.instances_path("a").read_bytes()
    copy = store.set_aside("a")
    assert copy is not None
    assert (store.exists("a"), store.instances_path("a").exists()) == (False, False)
    assert copy.read_bytes() == codes
    assert (copy.parent / "instances" / copy.name).read_bytes() == instances
    assert store.save("a", truth_files(maps)).status == "new"
