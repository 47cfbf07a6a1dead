"""Settings dataclasses as TOML: written with their documentation, read with all faults.

A setting is a field of a frozen dataclass. Its metadata may hold ``doc`` (one line) and
what :mod:`annotator.settings.bounds` checks.

A class may also offer ``preset(name)``. Its table then holds ``preset = "..."``, and a line
for a single value stands in it only where that value differs from the preset's.
"""

from __future__ import annotations

import dataclasses
import textwrap
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from annotator.core.errors import SettingsError
from annotator.settings.bounds import (
    bounds_in_words,
    broken_rule,
    choices_in_words,
    field_types,
    setting_name,
    without_none,
)
from annotator.settings.toml_values import to_text, to_toml

T = TypeVar("T")

DEFAULT_PRESET = "default"


def render_fields(settings: Any) -> str:
    """Write the fields of a settings object as commented TOML lines.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Demo:
    ...     iou: float = dataclasses.field(default=0.9, metadata={"doc": "Overlap.", "ge": 0.0})
    >>> print(render_fields(Demo()))
    # Overlap. At least 0.0.
    iou = 0.9
    """
    kind = type(settings)
    hints = field_types(kind)
    preset = _preset(kind)
    blocks = []
    if preset is not None:
        blocks.append(f'{_preset_comment(preset)}\npreset = "{DEFAULT_PRESET}"')
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        implied = preset is not None and value == getattr(preset(DEFAULT_PRESET), field.name)
        line = f"{field.name} =" if value is None else f"{field.name} = {to_toml(value)}"
        hidden = value is None or implied
        blocks.append("\n".join([*_comment(field, hints[field.name]), "# " * hidden + line]))
    return "\n".join(blocks)


def read_fields(kind: type[T], given: Mapping[str, Any], table: str, faults: list[str]) -> T | None:
    """Build a settings object from a TOML table.

    Parameters
    ----------
    kind : type
        A settings dataclass, all of whose fields have defaults.
    given : mapping
        What the file holds.
    table : str
        Its name, for the messages; empty for the top of the file.
    faults : list of str
        One line is added for each fault, so that a person sees all of them at once.

    Returns
    -------
    The settings, or None where there was a fault.
    """
    hints = field_types(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    before = len(faults)
    values, given = _from_preset(kind, given, table, faults)
    for key, raw in given.items():
        where = setting_name(table, key)
        if key not in fields:
            faults.append(f"{where}: unknown; expected one of {', '.join(fields)}")
            continue
        if expected := broken_rule(raw, hints[key], fields[key].metadata):
            faults.append(f"{where}: expected {expected}, got {to_text(raw)}")
        else:
            values[key] = _as_field(raw, hints[key])
    return _build(kind, values, table, faults) if len(faults) == before else None


def _preset(kind: type[Any]) -> Callable[[str], Any] | None:
    """The method that makes settings by name, where the class has one and no such field."""
    if "preset" in {field.name for field in dataclasses.fields(kind)}:
        return None
    return getattr(kind, "preset", None)


def _preset_comment(preset: Callable[[str], Any]) -> str:
    first_line = (preset.__doc__ or "").strip().splitlines()[0].replace("``", '"')
    text = f"{first_line} A line below that is not commented out goes before it."
    return textwrap.fill(text, 90, initial_indent="# ", subsequent_indent="# ")


def _from_preset(
    kind: type[Any], given: Mapping[str, Any], table: str, faults: list[str]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Values that a named preset stands for, and what is given besides."""
    preset = _preset(kind)
    if preset is None or "preset" not in given:
        return {}, given
    rest = {key: raw for key, raw in given.items() if key != "preset"}
    if expected := broken_rule(given["preset"], str, {}):
        faults.append(f"[{table}] preset: expected {expected}, got {to_text(given['preset'])}")
        return {}, rest
    try:
        base = preset(given["preset"])
    except SettingsError as error:
        faults.append(f"[{table}] preset: {error}")
        return {}, rest
    return {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}, rest


def _build(kind: type[T], values: dict[str, Any], table: str, faults: list[str]) -> T | None:
    """Let the dataclass check what one field alone cannot show."""
    try:
        return kind(**values)
    except (SettingsError, ValueError) as error:
        named = not table or str(error).startswith(f"[{table}]")
        faults.append(str(error) if named else f"[{table}]: {error}")
        return None


def _as_field(raw: Any, hint: Any) -> Any:
    """A value that fits, in the type of its field: TOML has lists, and whole numbers do."""
    hint = without_none(hint)
    if get_origin(hint) is tuple:
        return tuple(_as_field(item, get_args(hint)[0]) for item in raw)
    return float(raw) if hint is float else raw


def _comment(field: dataclasses.Field[Any], hint: Any) -> list[str]:
    """The lines above a value: its documentation, its range, its choices."""
    doc = str(field.metadata.get("doc", "")).strip().rstrip(".")
    rules = (bounds_in_words(field.metadata), choices_in_words(field.metadata))
    parts = [text[:1].upper() + text[1:] for text in (doc, *rules)]
    if types.NoneType in get_args(hint):
        parts.append("Absent: none")
    text = ". ".join(part for part in parts if part)
    return textwrap.wrap(text + ".", 90, initial_indent="# ", subsequent_indent="# ")
