"""Networks to disk and back; files that cannot be used say why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from support.random_networks import random_decoder

from annotator.core.errors import ModelError
from annotator.segmentation.network.architecture import encoder_shapes
from annotator.segmentation.network.network_file import (
    encoder_tensors,
    read_network,
    starter_network,
    write_network,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    write_network(path, random_decoder(), {"name": "mine"})
    return path


def change_card(path: Path, **values: object) -> None:
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | values))


def test_a_network_comes_back_as_it_was(path: Path):
    network = read_network(path)
    assert network.card["name"] == "mine"
    assert network.fingerprint == network.card["sha256"][:16]
    for name, values in random_decoder().items():
        kept = values.astype(np.float16) if values.ndim == 4 else values
        np.testing.assert_array_equal(network.decoder[name], kept)


def test_a_card_read_from_another_file_says_nothing_of_this_one(path: Path, tmp_path: Path):
    card = read_network(path).card
    other = tmp_path / "other.safetensors"
    write_network(other, random_decoder(1), card)
    assert read_network(other).card["name"] == "mine"


def test_variances_beyond_half_precision_are_kept(tmp_path: Path):
    tensors = random_decoder()
    tensors["levels.0.0.norm.running_var"][:] = 113_313.8
    write_network(tmp_path / "wide.safetensors", tensors, {})
    back = read_network(tmp_path / "wide.safetensors").decoder
    np.testing.assert_array_equal(back["levels.0.0.norm.running_var"], np.float32(113_313.8))


def test_the_same_tensors_give_the_same_bytes(path: Path, tmp_path: Path):
    other = tmp_path / "other.safetensors"
    shuffled = dict(sorted(random_decoder().items(), reverse=True))
    # An array whose rows do not lie one after the other is stored as what it holds.
    shuffled = {name: np.asfortranarray(values) for name, values in shuffled.items()}
    write_network(other, shuffled, {"name": "other"})
    assert other.read_bytes() == path.read_bytes()


def test_the_networks_of_the_package_are_whole():
    assert len(encoder_tensors()) == len(encoder_shapes())
    assert starter_network().card["name"] == "starter"


def test_a_file_cut_short_is_refused(path: Path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged, cut short or another one"):
        read_network(path)


def test_a_missing_file_says_what_a_network_is(path: Path, tmp_path: Path):
    with pytest.raises(ModelError, match=r"a network is a file NAME\.safetensors with its card"):
        read_network(tmp_path / "none.safetensors")
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"mine\.json: cannot be read"):
        read_network(path)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"format": 99}, "a newer Trephine wrote it"),
        ({"format": "1"}, "with its format, got '1'"),
        ({"encoder_sha256": "0" * 64}, "one on 0000000000000000…; train it anew"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(path: Path, card: dict[str, object], message: str):
    change_card(path, **card)
    with pytest.raises(ModelError, match=message):
        read_network(path)


def test_a_card_that_is_no_json_is_refused(path: Path):
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ModelError, match="expected the card of a network as JSON"):
        read_network(path)


def saved_with(path: Path, data: bytes) -> None:
    import hashlib

    path.write_bytes(data)
    change_card(path, sha256=hashlib.sha256(data).hexdigest())


def test_another_architecture_is_refused(path: Path):
    saved_with(path, save({"head.weight": np.zeros((2, 2), np.float16)}))
    with pytest.raises(ModelError, match="got another architecture"):
        read_network(path)


def test_numbers_that_are_none_are_refused(path: Path):
    tensors = random_decoder()
    tensors["head.bias"][0] = np.nan
    saved_with(path, save(tensors))
    with pytest.raises(ModelError, match=r"finite numbers, got others in head\.bias"):
        read_network(path)


def test_bytes_that_are_no_tensors_are_refused(path: Path):
    saved_with(path, b"something else")
    with pytest.raises(ModelError, match="expected tensors in the safetensors format"):
        read_network(path)
