"""Single values in study.toml: changed, and nothing else with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator.core.errors import SettingsError
from annotator.settings.change import PRESETS, changed_toml, has_table
from annotator.settings.network import NetworkSettings
from annotator.settings.study import (
    Settings,
    default_toml,
    new_study_settings,
    read_settings,
    settings_of,
)

FILE = Path("study.toml")


def test_a_value_is_changed_where_it_stands_and_all_else_stays():
    before = default_toml()
    after = changed_toml(before, {"network": {"use": "starter"}})
    assert settings_of(after, FILE).network.use == "starter"
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    differing = [(one, other) for one, other in lines if one != other]
    assert differing == [('use = "none"', 'use = "starter"')]


def test_the_same_key_in_another_table_is_left_alone():
    text = '[describe]\npreset = "trephine"\n[cellmask]\npreset = "adaptive"\n'
    after = changed_toml(text, {"cellmask": {"preset": "bambo"}})
    assert after == text.replace("adaptive", "bambo")


def test_a_table_without_the_key_and_a_file_without_the_table():
    text = "# mine\n[read]\n# nothing\n"
    after = changed_toml(text, {"read": {"a": 1}, "network": {"use": "none"}})
    assert after == '# mine\n[read]\na = 1\n# nothing\n\n[network]\nuse = "none"\n'


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_read_as_settings(name: str):
    settings = settings_of(changed_toml(default_toml(), PRESETS[name]), FILE)
    published = name == "bambo"
    assert settings.network.use == ("none" if published else "starter")
    assert (settings.sam.points_per_side == 160) == published
    assert {settings.describe.preset, settings.cellmask.preset} == (
        {"bambo"} if published else {"trephine", "adaptive"}
    )


def test_one_preset_takes_the_other_back():
    there = changed_toml(default_toml(), PRESETS["bambo"])
    assert settings_of(changed_toml(there, PRESETS["trephine"]), FILE) == new_study_settings()


def test_a_file_of_old_has_no_network_and_a_new_one_has_the_starter(tmp_path: Path):
    path = tmp_path / "study.toml"
    path.write_text("[read]\n", "utf-8")
    assert read_settings(path).network == NetworkSettings("none") == Settings().network
    assert not has_table(path, "network")
    assert new_study_settings(0.5) == Settings(um_per_px=0.5, network=NetworkSettings("starter"))


@pytest.mark.parametrize("use", ["", "Starter", "network.onnx"])
def test_other_names_of_networks_are_refused(use: str):
    with pytest.raises(SettingsError, match=r"NAME\.safetensors"):
        NetworkSettings(use)
