"""study.toml: what is written reads back, and what is wrong in it is said all at once."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from annotator.core.classes import ClassSchema
from annotator.core.errors import SettingsError
from annotator.core.hashing import fingerprint
from annotator.core.label_names import LabelNames
from annotator.settings.learning import SeedSettings
from annotator.settings.retired import RETIRED, retired_values
from annotator.settings.study import STAGES, Settings, default_toml, read_settings, render_toml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.toml"


def message(file: Path, text: str) -> str:
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    return str(caught.value)


def test_the_default_file_reads_back_as_the_defaults(file):
    file.write_text(default_toml(), "utf-8")
    assert read_settings(file) == Settings()


def test_an_empty_file_means_the_defaults(file):
    file.write_text("", "utf-8")
    assert read_settings(file) == Settings()


def test_changed_settings_read_back(file):
    changed = Settings(
        um_per_px=0.26,
        classes=ClassSchema(("#112233", "#445566", "#778899", "#aabbcc")),
        prune=replace(Settings().prune, duplicate_iou=0.7),
        cellmask=replace(Settings().cellmask, preset="bambo"),
    )
    file.write_text(render_toml(changed), "utf-8")
    assert read_settings(file) == changed


def test_every_stage_has_a_table_and_every_setting_a_line():
    stages = {f.name for f in fields(Settings)} - {"um_per_px", "classes", "also"}
    assert set(STAGES) == stages
    text = default_toml()
    for name, (kind, _) in STAGES.items():
        section = text.split(f"\n[{name}]\n")[1].split("\n[")[0]
        for setting in fields(kind):
            assert f"{setting.name} =" in section


@pytest.mark.parametrize(
    "text", ['{ "Fat cell" = "fat", "255" = "ignore" }', '"fat cell=fat,255=ignore"']
)
def test_labels_of_other_programs_are_kept_with_the_study(file, text):
    file.write_text(f"[classes]\nalso = {text}\n", "utf-8")
    settings = read_settings(file)
    assert settings.also == LabelNames({"fat cell": "fat", "255": "ignore"})
    assert settings.classes == Settings().classes
    file.write_text(render_toml(settings), "utf-8")
    assert read_settings(file) == settings
    assert 'also = { "fat cell" = "fat", "255" = "ignore" }\n' in file.read_text("utf-8")


def test_every_setting_is_documented():
    undocumented = [
        f"{name}.{setting.name}"
        for name, (kind, _) in STAGES.items()
        for setting in fields(kind)
        if not setting.metadata.get("doc")
    ]
    assert undocumented == []


def test_presets_by_name(file):
    file.write_text('[sam]\npreset = "bambo"\n[describe]\npreset = "bambo"\n', "utf-8")
    settings = read_settings(file)
    assert settings.sam.points_per_side == 160
    assert settings.describe.preset == "bambo"


def test_all_faults_come_in_one_message_with_file_table_and_key(file):
    text = message(
        file,
        'um_per_px = -1\nspeed = 9\n[classes]\nfat = "red"\n[prune]\nduplicate_iou = 3\n'
        'min_area = 5\n[cellmask]\npreset = "best"\n[smooth]\n',
    )
    assert str(file) in text
    for part in (
        "7 value(s)",
        "um_per_px: expected more than 0.0, got -1",
        "speed: unknown",
        "[smooth]: unknown table",
        "[classes] class colours: expected four",
        "[prune] duplicate_iou: expected at most 1.0, got 3",
        "[prune] min_area: unknown",
        '[cellmask] preset: expected one of "adaptive", "bambo", got "best"',
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prune\n", "not valid TOML"),
        ("format = 99\n[whatever]\n", "newer Trephine (format 99"),
        ('format = "1"\n', "format: expected a whole number"),
        ("prune = 3\n", "prune: unknown"),
        ("[[prune]]\nmin_area_px = 3\n", "prune: unknown"),
        ("[classes]\nmuscle = '#ffffff'\n", "[classes] muscle: unknown"),
        ("[classes]\nfat = '#008000'\n", "class colours must differ"),
        ("[classes]\nfat = 3\n", "class colours"),
        ("[classes]\nalso = { vessel = 'liver' }\n", "[classes] also: expected LABEL=CLASS"),
        ("[classes]\nalso = 3\n", "[classes] also: expected labels with their class"),
        ("[stitch]\norder = ['bone']\n", "[stitch]"),
    ],
)
def test_what_is_wrong_is_said(file, text, said):
    assert said in message(file, text)


@pytest.mark.parametrize(
    ("text", "set_by_a_person"),
    [
        ("", {}),
        ("[clusters]\n", {}),
        ("[clusters]\nclusters = 0\nleast = 4\nmost = 16\nsample = 5000\n", {}),
        ("[clusters]\nclusters = 20\nmost = 16\n", {"clusters": 20}),
        ("[clusters]\nmost = 'many'\nleast = -1\n", {"most": "many", "least": -1}),
        ("[clusters]\nshape = 3\n", {"shape": 3}),
    ],
)
def test_a_table_of_an_earlier_version_opens_and_what_was_set_in_it_is_known(
    file, text, set_by_a_person
):
    file.write_text(f"{text}[seed]\ngroups_max = 9\n", "utf-8")
    assert read_settings(file) == Settings(seed=SeedSettings(groups_max=9))
    assert retired_values(file, "clusters") == set_by_a_person


def test_retired_tables_are_not_written():
    assert not RETIRED.keys() & tomllib.loads(default_toml()).keys()
    assert not RETIRED.keys() & STAGES.keys()


def test_a_file_that_is_not_text(file):
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="UTF-8"):
        read_settings(file)


def test_a_byte_order_mark_is_no_part_of_the_settings(file):
    """Notepad and PowerShell write one at the start of a file."""
    file.write_bytes(b"\xef\xbb\xbf" + render_toml(Settings(um_per_px=0.26)).encode())
    assert read_settings(file) == Settings(um_per_px=0.26)


def test_a_preset_that_is_no_name_is_a_fault(file):
    assert "[sam] preset: expected a text in quotes, got [1]" in message(
        file, "[sam]\npreset = [1]"
    )


def test_a_number_beyond_all_measure_is_a_fault(file):
    text = message(file, f"[join]\npart_um2 = 1{'0' * 400}\n")
    assert "[join] part_um2: expected a number, got 1000" in text


def test_a_missing_file(file):
    with pytest.raises(SettingsError, match=str(file)):
        read_settings(file)


def test_the_default_file_is_plain_toml():
    assert tomllib.loads(default_toml())["format"] == 1


def test_fingerprints_tell_settings_apart():
    base = Settings()
    other = replace(base, prune=replace(base.prune, min_area_px=99))
    assert fingerprint(base) == fingerprint(Settings())
    assert fingerprint(base) != fingerprint(other)
    assert len(fingerprint(base)) == 16


def test_settings_do_not_load_torch():
    script = "import sys, annotator.settings.study; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
