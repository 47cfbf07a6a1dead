"""Which network a study's settings name, and what they say where it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.random_networks import random_decoder

from annotator.core.errors import ModelError, SettingsError
from annotator.segmentation.network.network_file import starter_network, write_network
from annotator.settings.study import new_study_settings
from annotator.study.study import Study
from features.describe import feature_fingerprint

CARD = {"time": "2026-01-01T00:00:00+00:00", "verdict": "first", "adopted": True}


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study", new_study_settings()) as made:
        yield made


def use(study: Study, name: str) -> None:
    study.change_settings({"network": {"use": name}})


def test_a_new_study_uses_the_starter(study: Study):
    assert study.network is not None
    assert study.network.path is None
    assert study.network.read().sha256 == starter_network().sha256


def test_a_study_without_a_network_has_the_features_of_old(study: Study):
    use(study, "none")
    assert study.network is None
    assert study.features == feature_fingerprint(study.settings.describe)


def test_its_own_network_is_the_one_that_was_adopted_last(study: Study):
    use(study, "study")
    with pytest.raises(ModelError, match="network train"):
        _ = study.features
    first = study.networks.add(1, random_decoder(1), CARD)
    study.networks.add(2, random_decoder(2), CARD | {"verdict": "worse", "adopted": False})
    assert study.network is not None
    assert study.network.read().sha256 == first.sha256


def test_networks_give_different_features(study: Study, tmp_path: Path):
    file = tmp_path / "trial.safetensors"
    write_network(file, random_decoder(3), {})
    keys = [study.features]
    for name in ("none", str(file)):
        use(study, name)
        keys.append(study.features)
    write_network(file, random_decoder(4), {})
    keys.append(study.features)
    assert len(set(keys)) == 4


def test_a_file_that_is_replaced_meanwhile_is_not_taken_for_the_other(study: Study, tmp_path: Path):
    file = tmp_path / "trial.safetensors"
    write_network(file, random_decoder(3), {})
    chosen = study.network_named(str(file))
    write_network(file, random_decoder(4), {})
    assert chosen is not None
    with pytest.raises(ModelError, match="another network"):
        chosen.read()


def test_a_file_that_is_not_there_is_named(study: Study):
    with pytest.raises(ModelError, match=r"gone\.safetensors"):
        study.network_named("gone.safetensors")


def test_a_setting_that_cannot_be_read_changes_nothing(study: Study):
    before = (study.path / "study.toml").read_bytes()
    with pytest.raises(SettingsError):
        use(study, "other")
    assert (study.path / "study.toml").read_bytes() == before
    assert study.settings == new_study_settings()
