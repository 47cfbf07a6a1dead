"""The study's own networks: numbered, written whole, the last adopted one in use."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from annotator.core.errors import ModelError, StorageError
from annotator.core.files import storage_error, write_atomic
from annotator.segmentation.network.architecture import decoder_shapes
from annotator.study.networks import NetworkStore
from annotator.study.study import Study


def _decoder(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.random(shape, np.float32) for name, shape in decoder_shapes().items()}


def _card(verdict: str) -> dict[str, object]:
    return {"time": "2026-01-01T00:00:00+00:00", "verdict": verdict, "adopted": verdict != "worse"}


def test_the_last_adopted_network_is_in_use(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        store = study.networks
        assert store.current() is None and store.current_entry() is None and store.all() == ()
        first = store.add(store.next_index(), _decoder(1), _card("better"))
        store.add(store.next_index(), _decoder(2), _card("worse"))
        assert [entry.name for entry in store.all()] == ["001", "002"]
        assert [entry.adopted for entry in store.all()] == [True, False]
        current = store.current()
    assert current is not None
    assert (current.sha256, current.fingerprint) == (first.sha256, first.sha256[:16])
    assert NetworkStore(tmp_path / "study").next_index() == 3


def test_a_network_whose_card_was_not_written_is_none(tmp_path: Path) -> None:
    def full_at_the_card(path: Path, data: bytes) -> None:
        if path.suffix == ".json":
            raise storage_error(path, OSError(errno.ENOSPC, "full"))
        write_atomic(path, data)

    store = NetworkStore(tmp_path, full_at_the_card)
    with pytest.raises(StorageError, match="the disk is full"):
        store.add(1, _decoder(), _card("better"))
    assert store.indices() == () and store.next_index() == 1 and store.current() is None


def test_a_damaged_card_or_file_is_named(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    store.add(1, _decoder(), _card("better"))
    path = store.path(1)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"001\.safetensors.*cut short"):
        store.current()
    path.with_suffix(".json").write_text("[]", "utf-8")
    with pytest.raises(ModelError, match=r"001\.json: expected the card"):
        store.current_entry()


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    broken = _decoder() | {"head.weight": np.full((5, 24, 1, 1), 1e30, np.float32)}
    with pytest.raises(ModelError, match=r"half precision, got others in head\.weight"):
        store.add(1, broken, _card("better"))
    assert not store.folder.exists()
