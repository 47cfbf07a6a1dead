"""Fields of settings as TOML: what is written, and what is said of what cannot be read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

import pytest

from annotator.core.errors import SettingsError
from annotator.settings.toml import read_fields, render_fields


@dataclass(frozen=True)
class Everything:
    iou: float = field(default=0.5, metadata={"doc": "Overlap, 0..1", "ge": 0.0, "le": 1.0})
    count: int = field(default=3, metadata={"doc": "How many", "gt": 0})
    mode: str = field(default="a", metadata={"doc": "Which", "choices": ("a", "b")})
    smooth: bool = field(default=True, metadata={"doc": "Whether"})
    sizes: tuple[int, ...] = field(default=(1, 2), metadata={"doc": "Sizes, px", "lt": 100})
    window: tuple[float, float] = field(default=(0.0, 1.0), metadata={"doc": "From, to"})
    floor: float | None = field(default=None, metadata={"doc": "Floor, px"})

    def __post_init__(self) -> None:
        if self.window[0] >= self.window[1]:
            raise ValueError(f"the window must rise, got {self.window}")


@dataclass(frozen=True)
class Named:
    points: int = field(default=32, metadata={"doc": "Points"})
    threads: int = field(default=0, metadata={"doc": "Threads"})

    @classmethod
    def preset(cls, name: str) -> Named:
        """Settings by name: ``default``, or ``paper``."""
        if name not in ("default", "paper"):
            raise SettingsError(f"expected default or paper, got {name!r}")
        return cls(160) if name == "paper" else cls()


def read(kind, text, table="t"):
    faults: list[str] = []
    return read_fields(kind, tomllib.loads(text), table, faults), faults


def test_what_is_written_reads_back_as_the_same():
    changed = Everything(0.25, 7, "b", False, (), (-1.5, 1e-7), 2.5)
    for settings in (Everything(), changed):
        assert read(Everything, render_fields(settings)) == (settings, [])


def test_every_value_stands_under_its_documentation_range_and_choices():
    text = render_fields(Everything())
    assert "# Overlap, 0..1. At least 0.0 and at most 1.0.\niou = 0.5" in text
    assert '# Which. One of "a", "b".\nmode = "a"' in text
    assert "# Floor, px. Absent: none.\n# floor =" in text


def test_whole_numbers_do_for_a_field_with_decimals():
    settings, faults = read(Everything, "iou = 1\nwindow = [0, 2]")
    assert faults == []
    assert isinstance(settings.iou, float)
    assert settings.window == (0.0, 2.0)


@pytest.mark.parametrize(
    ("line", "expected", "got"),
    [
        ('iou = "high"', "a number", '"high"'),
        ("iou = true", "a number", "true"),
        ("iou = nan", "a number", "nan"),
        ("iou = inf", "a number", "inf"),
        ("iou = 1.5", "at most 1.0", "1.5"),
        ("iou = -0.1", "at least 0.0", "-0.1"),
        ("count = 2.5", "a whole number", "2.5"),
        ("count = true", "a whole number", "true"),
        ("count = 0", "more than 0", "0"),
        ('mode = "c"', 'one of "a", "b"', '"c"'),
        ("mode = 1", "a text in quotes", "1"),
        ("smooth = 1", "true or false", "1"),
        ("sizes = 4", "a list, each item a whole number", "4"),
        ("sizes = [1, 2.5]", "a list, each item a whole number", "[1, 2.5]"),
        ("sizes = [1, 100]", "less than 100", "[1, 100]"),
        ("window = [1.0]", "a list of 2, each a number", "[1.0]"),
        ("floor = {}", "a number", "{}"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_was_expected(line, expected, got):
    settings, faults = read(Everything, line)
    key = line.split(" ")[0]
    assert settings is None
    assert faults == [f"[t] {key}: expected {expected}, got {got}"]


def test_an_unknown_key_lists_the_known_ones():
    _, faults = read(Named, "point = 3")
    assert faults == ["[t] point: unknown; expected one of points, threads"]


def test_all_faults_of_a_table_come_at_once():
    _, faults = read(Everything, 'iou = 2\ncount = 0\nmode = "z"\nnew = 1')
    assert len(faults) == 4


def test_the_class_itself_has_the_last_word():
    settings, faults = read(Everything, "window = [2, 1]")
    assert settings is None
    assert faults == ["[t]: the window must rise, got (2.0, 1.0)"]


def test_a_preset_stands_for_its_values_and_a_line_goes_before_it():
    assert read(Named, 'preset = "paper"\nthreads = 4') == (Named(160, 4), [])


def test_presets_are_written_with_the_values_that_differ():
    assert read(Named, render_fields(Named(32, 2))) == (Named(32, 2), [])
    assert 'preset = "default"' in render_fields(Named())
    assert "# points = 32" in render_fields(Named())


def test_an_unknown_preset_is_a_fault():
    assert read(Named, 'preset = "mine"')[1] == [
        "[t] preset: expected default or paper, got 'mine'"
    ]
