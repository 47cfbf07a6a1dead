"""Bounds of settings: every field of every class, in code and from study.toml."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from annotator.core.errors import SettingsError
from annotator.doctor import OWN_PACKAGES
from annotator.segmentation.sam.tile_seams import SeamSettings
from annotator.settings.annotation import JoinSettings, StitchSettings
from annotator.settings.bounds import broken_rule, check_bounds
from annotator.settings.learning import SeedSettings
from annotator.settings.sam import SamSettings
from annotator.settings.study import STAGES, General, Settings, read_settings
from annotator.settings.toml_values import to_toml
from annotator.synthetic.settings import PhantomSettings
from annotator.synthetic.tissue_settings import TissueSettings

ROOT = Path(__file__).resolve().parents[3]
RULES = ("ge", "gt", "le", "lt", "choices")
TABLES = {kind: name for name, (kind, _) in STAGES.items()} | {General: ""}
CLASSES = (*TABLES, SeamSettings, PhantomSettings, TissueSettings)
# What else must change for a value at its bound to pass: the order of two fields.
BESIDE: dict[tuple[type[Any], str], dict[str, int]] = {
    (SeedSettings, "groups_max"): {"groups_min": 2},
}


def numeric(setting: Field[Any], kind: type[Any]) -> type[Any]:
    """The type of a field, or of its items where it is a tuple; None left out."""
    hint = get_type_hints(kind)[setting.name]
    return next(t for t in (*get_args(hint), hint) if t in (bool, int, float, str))


def step(number: float, kind: type[Any], towards: float) -> float:
    """The next whole number, or the next float."""
    if kind is int:
        return int(number) + (1 if towards > 0 else -1)
    return math.nextafter(number, towards)


def at_bounds(kind: type[Any], setting: Field[Any]) -> Iterator[tuple[Any, bool]]:
    """Values just inside and just outside the bounds of a field, and whether each passes."""
    rules, number = setting.metadata, numeric(setting, kind)
    for rule, inwards in (("ge", math.inf), ("gt", math.inf), ("le", -math.inf), ("lt", -math.inf)):
        if rule in rules:
            bound = number(rules[rule])
            closed = rule in ("ge", "le")
            yield (bound if closed else step(bound, number, inwards)), True
            yield (step(bound, number, -inwards) if closed else bound), False
    for choice in rules.get("choices", ()):
        yield choice, True
    if "choices" in rules:
        yield "no such choice", False
    if number is float:
        yield from ((math.nan, False), (math.inf, False), (-math.inf, False))
    if number in (int, float):
        yield from ((True, False), ("1", False))
    if number is int:
        yield 2.5, False
    if number is bool:
        yield from ((True, True), (1, False))
    if number is str:
        yield 1, False


def shaped(kind: type[Any], setting: Field[Any], value: Any) -> Any:
    """A value as the default has it: in a tuple, the last item alone has it."""
    usual = getattr(kind(), setting.name)
    return (*usual[:-1], value) if isinstance(usual, tuple) else value


CASES = [
    pytest.param(kind, setting, shaped(kind, setting, value), passes, id=name)
    for kind in CLASSES
    for setting in fields(kind)
    for value, passes in at_bounds(kind, setting)
    if (name := f"{kind.__name__}-{setting.name}-{value}")
    # Bone cannot come twice in the order, which no metadata say.
    if not (setting.name == "order" and passes)
]


@pytest.mark.parametrize(("kind", "setting", "value", "passes"), CASES)
def test_a_value_at_its_bounds_in_code(kind, setting, value, passes):
    values = {setting.name: value, **BESIDE.get((kind, setting.name), {})}
    if passes:
        assert getattr(kind(**values), setting.name) == value
        return
    with pytest.raises(SettingsError) as caught:
        kind(**values)
    table = TABLES.get(kind)
    place = f"[{table}] {setting.name}" if table else setting.name
    said = str(caught.value)
    assert said.startswith(f"{place if table is not None else f'{kind.__name__}.{place}'}: ")
    assert f"got {to_toml(value)}; " in said
    if table:
        assert said.endswith(f"; correct [{table}] in study.toml")


@pytest.mark.parametrize(
    ("kind", "setting", "value", "passes"), [case for case in CASES if case.values[0] in TABLES]
)
def test_a_value_at_its_bounds_from_study_toml(tmp_path, kind, setting, value, passes):
    if setting.name == "format" and value == 2:
        pytest.skip("a later format is refused with a message of its own")
    table = TABLES[kind]
    values = {setting.name: value, **BESIDE.get((kind, setting.name), {})}
    lines = [f"[{table}]"] * bool(table) + [f"{k} = {to_toml(v)}" for k, v in values.items()]
    file = tmp_path / "study.toml"
    file.write_text("\n".join(lines), "utf-8")
    if passes:
        settings = read_settings(file)
        holder = getattr(settings, table) if table else settings
        assert getattr(holder, setting.name, value) == value
        return
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    with pytest.raises(SettingsError) as in_code:
        kind(**values)
    assert str(caught.value).startswith(f"{file}: 1 value(s) to correct:")
    # The very words that the class itself has for it.
    assert str(in_code.value).split("; correct")[0] in str(caught.value)


def classes_with_documented_fields(path: Path) -> set[str]:
    """Names of the classes of a file that have a field with metadata, as settings have."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Call)
        if any(keyword.arg == "metadata" for keyword in line.value.keywords)
    }


def test_every_class_with_bounds_is_tested_here():
    found: set[str] = set()
    for package in OWN_PACKAGES:
        found = found.union(*map(classes_with_documented_fields, (ROOT / package).rglob("*.py")))
    assert found == {kind.__name__ for kind in CLASSES}


def test_every_number_has_a_bound():
    free = [
        f"{kind.__name__}.{setting.name}"
        for kind in CLASSES
        for setting in fields(kind)
        if numeric(setting, kind) in (int, float) and not set(RULES) & set(setting.metadata)
    ]
    assert free == []


def test_a_score_of_seven_is_refused_in_code_and_in_the_file(tmp_path):
    said = r"\[join\] least_score: expected at most 1, got 7"
    with pytest.raises(SettingsError, match=said + r"; correct \[join\] in study.toml"):
        JoinSettings(least_score=7)
    (tmp_path / "study.toml").write_text("[join]\nleast_score = 7\n", "utf-8")
    with pytest.raises(SettingsError, match=said):
        read_settings(tmp_path / "study.toml")


def test_the_scale_of_a_study_is_checked_in_code_too():
    with pytest.raises(SettingsError, match=r"um_per_px: expected more than 0\.0, got -1"):
        Settings(um_per_px=-1)
    assert Settings(um_per_px=None).um_per_px is None


def test_a_changed_copy_is_checked_as_well():
    with pytest.raises(SettingsError, match="least_score"):
        replace(JoinSettings(), least_score=-0.5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SamSettings(tile_px=256, tile_overlap=256), r"\[sam\] tile_overlap: .*\(256\)"),
        (lambda: SeedSettings(groups_min=13), r"\[seed\] groups_min: .*\(12\), got 13"),
        (lambda: StitchSettings(order=("bone",) * 4), r"\[stitch\] order: .*each of"),
    ],
)
def test_what_two_fields_say_together_is_checked_by_the_class(make, said):
    with pytest.raises(SettingsError, match=said + r".*; correct \["):
        make()


def test_a_fault_that_the_class_found_names_its_table_once(tmp_path):
    (tmp_path / "study.toml").write_text("[seed]\ngroups_min = 17\n", "utf-8")
    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path / "study.toml")
    found = "\n  [seed] groups_min: expected no more than groups_max (12), got 17"
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (np.float64(0.5), float, ""),
        (np.int64(3), int, ""),
        (3, float, ""),
        (10**400, float, "a number"),
        (None, float | None, ""),
        (None, float, "a number"),
        ((1, 2), tuple[int, int], ""),
        ([1, 2], tuple[int, int], ""),
        ((1, 2, 3), tuple[int, int], "a list of 2, each a whole number"),
        ("12", tuple[int, int], "a list of 2, each a whole number"),
        ((), tuple[str, ...], ""),
        ((1,), tuple[str, ...], "a list, each item a text in quotes"),
    ],
)
def test_types_that_do_and_that_do_not(value, hint, expected):
    assert broken_rule(value, hint, {}) == expected


def test_settings_outside_study_toml_are_named_by_their_class():
    @dataclass(frozen=True)
    class Thickness:
        um: float = field(default=3.0, metadata={"doc": "of the section", "gt": 0})

    with pytest.raises(SettingsError, match=r"^Thickness\.um: expected more than 0, got 0; give"):
        check_bounds(Thickness(um=0))
