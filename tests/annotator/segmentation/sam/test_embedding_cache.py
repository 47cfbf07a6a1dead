from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from annotator.core.files import storage_error
from annotator.segmentation.sam.embedding_cache import EmbeddingCache, embedding_key

KEYS = [embedding_key("0" * 16, (n, 0, n + 9, 9), "f" * 64, "1") for n in range(4)]


def features(seed: int = 0, side: int = 8) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(4, side, side)).astype(np.float32)
    values[0, 0, :4] = [np.nan, np.inf, -0.0, np.finfo(np.float32).smallest_subnormal]
    return values


SIZE = 128 + features().nbytes + 4


def cache(folder: Path, most: int = 1 << 20, **more: object) -> EmbeddingCache:
    return EmbeddingCache(folder / "embeddings", most, keep_free=0, **more)  # type: ignore[arg-type]


def age(box: EmbeddingCache, key: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(box.folder / f"{key}.npy", (then, then))


def kept(box: EmbeddingCache) -> set[str]:
    return {path.stem for path in box.folder.glob("*.npy")}


def test_what_comes_back_is_bit_for_bit_what_went_in(tmp_path: Path) -> None:
    box = cache(tmp_path)
    assert box.save(KEYS[0], features())
    back = box.load(KEYS[0])
    assert back is not None
    assert back.tobytes() == features().tobytes()
    assert (back.dtype, back.shape) == (np.float32, (4, 8, 8))
    assert not back.flags.writeable


def test_a_view_in_another_order_of_memory_is_kept_by_value(tmp_path: Path) -> None:
    box, turned = cache(tmp_path), features().transpose(2, 0, 1)
    assert box.save(KEYS[0], turned)
    back = box.load(KEYS[0])
    assert back is not None
    assert back.tobytes() == np.ascontiguousarray(turned).tobytes()


def test_files_are_plain_npy(tmp_path: Path) -> None:
    box = cache(tmp_path)
    box.save(KEYS[0], features())
    read = np.load(box.folder / f"{KEYS[0]}.npy", allow_pickle=False)
    assert read.tobytes() == features().tobytes()


def test_absent_ones_are_none(tmp_path: Path) -> None:
    assert cache(tmp_path).load(KEYS[0]) is None


def checked(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype.hasobject)
    return file.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:3],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: checked(b"not an array"),
        lambda data: checked(npy(np.zeros(3, np.float64))),
        lambda data: checked(npy(np.array([{}], object))),
    ],
)
def test_damaged_ones_are_none_and_can_be_written_again(tmp_path: Path, damage) -> None:
    box = cache(tmp_path)
    box.save(KEYS[0], features())
    path = box.folder / f"{KEYS[0]}.npy"
    path.write_bytes(damage(path.read_bytes()))
    assert box.load(KEYS[0]) is None
    assert box.save(KEYS[0], features(1))
    again = box.load(KEYS[0])
    assert again is not None
    assert again.tobytes() == features(1).tobytes()


def test_the_oldest_go_beyond_the_bound(tmp_path: Path) -> None:
    box = cache(tmp_path, 2 * SIZE)
    for seconds, key in ((30, KEYS[0]), (20, KEYS[1])):
        box.save(key, features())
        age(box, key, seconds)
    box.save(KEYS[2], features())
    assert kept(box) == {KEYS[1], KEYS[2]}
    assert sum(path.stat().st_size for path in box.folder.iterdir()) == 2 * SIZE


def test_reading_makes_one_young(tmp_path: Path) -> None:
    box = cache(tmp_path, 2 * SIZE)
    for seconds, key in ((30, KEYS[0]), (20, KEYS[1])):
        box.save(key, features())
        age(box, key, seconds)
    assert box.load(KEYS[0]) is not None
    box.save(KEYS[2], features())
    assert kept(box) == {KEYS[0], KEYS[2]}


def test_the_one_just_written_stays_even_if_clocks_disagree(tmp_path: Path) -> None:
    box = cache(tmp_path, SIZE)
    box.save(KEYS[0], features())
    age(box, KEYS[0], -600)
    box.save(KEYS[1], features())
    assert kept(box) == {KEYS[1]}


@pytest.mark.parametrize("most", [0, SIZE - 1])
def test_what_is_larger_than_the_bound_is_not_kept(tmp_path: Path, most: int) -> None:
    box = cache(tmp_path, most)
    assert not box.save(KEYS[0], features())
    assert not box.folder.exists()
    assert box.problems == []


def test_a_full_disk_is_told_once_and_not_tried_again(tmp_path: Path) -> None:
    tries: list[Path] = []

    def full(path: Path, data: bytes) -> None:
        tries.append(path)
        raise storage_error(path, OSError(errno.ENOSPC, "No space left on device"))

    box = cache(tmp_path, write=full)
    assert [box.save(key, features()) for key in KEYS] == [False] * 4
    assert len(tries) == len(box.problems) == 1
    assert str(box.folder) in box.problems[0]


def test_the_last_of_the_disk_is_left_to_the_results(tmp_path: Path) -> None:
    box = EmbeddingCache(tmp_path / "embeddings", 1 << 20, keep_free=1 << 60)
    assert not box.save(KEYS[0], features())
    assert len(box.problems) == 1
    assert not box.folder.exists()


def test_a_place_that_is_a_file_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "embeddings").write_text("in the way")
    box = cache(tmp_path)
    assert box.load(KEYS[0]) is None
    assert not box.save(KEYS[0], features())
    assert len(box.problems) == 1


def test_leftovers_of_killed_writes_go_but_live_ones_stay(tmp_path: Path) -> None:
    box = cache(tmp_path)
    box.save(KEYS[0], features())
    dead, live = (box.folder / f".{name}.npy.1.trephine-tmp" for name in ("dead", "live"))
    for path in (dead, live):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    box.save(KEYS[1], features())
    assert (dead.exists(), live.exists()) == (False, True)


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    box = cache(tmp_path, SIZE)
    box.save(KEYS[0], features())
    note = box.folder / "README.txt"
    note.write_text("mine")
    os.utime(note, (0, 0))
    box.save(KEYS[1], features())
    assert note.read_text() == "mine"


@pytest.mark.slow
def test_two_processes_may_write_the_same_key(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from annotator.segmentation.sam.embedding_cache import EmbeddingCache\n"
        "cache = EmbeddingCache(Path(sys.argv[1]), 1 << 20, keep_free=0)\n"
        "for turn in range(40):\n"
        "    assert cache.save(sys.argv[2], np.full((64, 64), int(sys.argv[3]), np.float32))\n"
        "    back = cache.load(sys.argv[2])\n"
        "    assert back is not None and (back == back[0, 0]).all(), back\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), KEYS[0]]
    writers = [subprocess.Popen([*command, value]) for value in "12"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEYS[0]}.npy"]


def test_everything_that_shapes_an_embedding_is_in_its_key() -> None:
    box = (0, 0, 10, 10)
    keys = {
        embedding_key("a", box, "w", "1"),
        embedding_key("b", box, "w", "1"),
        embedding_key("a", (0, 0, 10, 11), "w", "1"),
        embedding_key("a", box, "v", "1"),
        embedding_key("a", box, "w", "2"),
    }
    assert len(keys) == 5
    assert embedding_key("a", tuple(np.int64(v) for v in box), "w", "1") in keys  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["../study", "", "0" * 65, "ABCDEF0123", "a/b"])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    box = cache(tmp_path)
    with pytest.raises(ValueError, match=re.escape(repr(key))):
        box.load(key)
    with pytest.raises(ValueError, match=re.escape(repr(key))):
        box.save(key, features())


def test_only_float32_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"float32 .*float64"):
        cache(tmp_path).save(KEYS[0], features().astype(np.float64))  # type: ignore[arg-type]
