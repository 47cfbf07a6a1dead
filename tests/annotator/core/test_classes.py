"""The class schema: colours, codes, refusals."""

import dataclasses

import numpy as np
import pytest

from annotator.core.classes import (
    BG,
    BONE,
    CELL,
    CLASS_NAMES,
    DEFAULT_SCHEMA,
    FAT,
    UNLABELLED,
    ClassSchema,
)
from annotator.core.errors import SettingsError


def test_codes_are_positions_of_names():
    assert [CLASS_NAMES[code] for code in (BG, FAT, CELL, BONE)] == ["bg", "fat", "cell", "bone"]
    assert UNLABELLED not in (BG, FAT, CELL, BONE)


def test_the_published_colours():
    assert {name: DEFAULT_SCHEMA.rgb(name) for name in CLASS_NAMES} == {
        "bg": (0, 128, 0),
        "fat": (128, 0, 0),
        "cell": (128, 128, 0),
        "bone": (0, 0, 128),
    }


def test_the_palette_has_each_colour_at_its_code_and_black_elsewhere():
    palette = DEFAULT_SCHEMA.palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    for code, name in enumerate(CLASS_NAMES):
        assert tuple(palette[code]) == DEFAULT_SCHEMA.rgb(name)
    assert not palette[len(CLASS_NAMES) :].any()


def test_hex_digits_of_either_case_are_read():
    schema = ClassSchema(("#FfaA00", "#000001", "#000002", "#000003"))
    assert schema.rgb("bg") == (255, 170, 0)


@pytest.mark.parametrize(
    "colours",
    [
        ("#008000", "#800000", "#808000"),
        ("#008000", "#800000", "#808000", "#000080", "#123456"),
        ("#008000", "#800000", "#808000", "blue"),
        ("#008000", "#800000", "#808000", "#00008"),
        ("#008000", "#800000", "#808000", "#0000800"),
        ("#008000", "#800000", "#808000", "#000080\n"),
        ("#008000", "#800000", "#808000", 128),
        ("#008000", "#800000", "#808000", None),
    ],
)
def test_what_is_not_four_colours_is_refused(colours):
    with pytest.raises(SettingsError, match="#808000"):
        ClassSchema(colours)


@pytest.mark.parametrize(
    "colours",
    [
        ("#008000", "#800000", "#808000", "#008000"),
        ("#aabbcc", "#800000", "#808000", "#AABBCC"),
        ("#000000", "#800000", "#808000", "#000080"),
    ],
)
def test_equal_colours_and_black_are_refused(colours):
    with pytest.raises(SettingsError, match=colours[0].lower()):
        ClassSchema(colours)


def test_an_unknown_class_has_no_colour():
    with pytest.raises(ValueError, match="not in"):
        DEFAULT_SCHEMA.rgb("marrow")


def test_a_schema_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT_SCHEMA.colours = ()
