"""``truth/``: whole or not at all, and never over a mask without keeping it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.encoded import encode_png
from annotator.errors import StorageError
from annotator.files import write_atomic
from annotator.store_truth import TruthFiles, TruthStore

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
    assert saved.kept is not None
    assert saved.kept.read_bytes() == ONE.codes
    back = store.save("a", ONE)
    assert back.kept is not None
    assert back.kept.read_bytes() == TWO.codes
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
    assert saved.kept is not None
    assert saved.kept.read_bytes() == b"scribble"


def test_a_full_disk_leaves_the_earlier_mask(tmp_path: Path) -> None:
    TruthStore(tmp_path).save("a", ONE)

    def full(path: Path, data: bytes) -> None:
        if "earlier" not in path.parts:
            raise StorageError("full")
        write_atomic(path, data)

    with pytest.raises(StorageError, match="full"):
        TruthStore(tmp_path, full).save("a", TWO)
    assert files(tmp_path)["a.png"] == ONE.codes
