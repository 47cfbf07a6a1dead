"""Which images belong to one patient: by pattern, by table, else each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator.core.errors import SettingsError
from annotator.settings.images import PatientSettings
from annotator.study.patients import patients_of
from annotator.study.rough import KnownImage


def image(name: str, number: int = 0) -> KnownImage:
    return KnownImage(f"{number:016x}", name, f"/in/{name}.png", (4, 4), None, (), None)


IMAGES = (image("HE_0001_01", 1), image("HE_0001_02", 2), image("HE_0004_01", 3), image("x", 4))


def patients(folder: Path, **settings: str) -> list[str]:
    found = patients_of(IMAGES, PatientSettings(**settings), folder)
    return [found[one.id] for one in IMAGES]


def test_without_either_each_image_is_a_patient(tmp_path):
    assert patients(tmp_path) == [one.name for one in IMAGES]


def test_a_pattern_names_patients_and_leaves_others_alone(tmp_path):
    assert patients(tmp_path, pattern="_([0-9]{4})_") == ["0001", "0001", "0004", "x"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_names_patients_by_name_file_or_id(tmp_path, encoding):
    text = f"Patient;image;site\r\nMüller;HE_0001_01;a\r\nMüller;he_0001_02.PNG;b\r\nB;{4:016x};c\n"
    (tmp_path / "who.csv").write_bytes(text.encode(encoding))
    assert patients(tmp_path, table="who.csv") == ["Müller", "Müller", "HE_0004_01", "B"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"who\.csv"),
        ("image,who\na,b\n", "image.*patient"),
        ("image,patient\nx,a\nX,b\n", r"who\.csv"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "who.csv").write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=message):
        patients(tmp_path, table="who.csv")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pattern": "("}, r"\("),
        ({"pattern": "[0-9]+"}, r"\[0-9\]\+"),
        ({"pattern": "(a)", "table": "b"}, "table"),
        ({"held_out": 0.6}, "held_out"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        PatientSettings(**given)
