"""Settings dataclasses as TOML: written with their documentation, read with all faults.

A setting is a field of a frozen dataclass. Its metadata may hold ``doc`` (one line),
``ge``, ``gt``, ``le``, ``lt`` (bounds, for each item of a tuple) and ``choices``.

A class may also offer ``preset(name)``. Its table then holds ``preset = "..."``, and a line
for a single value stands in it only where that value differs from the preset's.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import textwrap
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from annotator.core.errors import SettingsError

T = TypeVar("T")

DEFAULT_PRESET = "default"

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
}
_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("ge", "at least", operator.ge),
    ("gt", "more than", operator.gt),
    ("le", "at most", operator.le),
    ("lt", "less than", operator.lt),
)


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
    hints = get_type_hints(kind)
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


def to_toml(value: Any) -> str:
    """Write one value.

    Examples
    --------
    >>> to_toml((1, 2.5, "Fett"))
    '[1, 2.5, "Fett"]'
    """
    if isinstance(value, tuple):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


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
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    before = len(faults)
    values, given = _from_preset(kind, given, table, faults)
    for key, raw in given.items():
        where = f"[{table}] {key}" if table else key
        if key not in fields:
            faults.append(f"{where}: unknown; expected one of {', '.join(fields)}")
            continue
        value, wrong = _fit(raw, hints[key])
        wrong = wrong or _out_of_range(value, fields[key].metadata)
        if wrong:
            faults.append(f"{where}: expected {wrong}, got {to_text(raw)}")
        values[key] = value
    return _build(kind, values, table, faults) if len(faults) == before else None


def to_text(raw: Any) -> str:
    """Write what came from a file, for a message."""
    return repr(raw) if isinstance(raw, dict) else to_toml(_as_tuple(raw))


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
        faults.append(f"[{table}]: {error}" if table else str(error))
        return None


def _as_tuple(raw: Any) -> Any:
    return tuple(_as_tuple(item) for item in raw) if isinstance(raw, list) else raw


def _fit(raw: Any, hint: Any) -> tuple[Any, str]:
    """Return the value in the type of the field, and what was expected if it does not fit."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arm for arm in get_args(hint) if arm is not types.NoneType)
    if get_origin(hint) is tuple:
        return _fit_tuple(raw, get_args(hint))
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw), ""
    if type(raw) is not hint or (hint is float and not math.isfinite(raw)):
        return None, _KINDS[hint]
    return raw, ""


def _fit_tuple(raw: Any, arms: tuple[Any, ...]) -> tuple[Any, str]:
    open_ended = len(arms) == 2 and arms[1] is Ellipsis
    kind = _KINDS[arms[0]]
    wanted = f"a list, each item {kind}" if open_ended else f"a list of {len(arms)}, each {kind}"
    if not isinstance(raw, list) or not (open_ended or len(raw) == len(arms)):
        return None, wanted
    pairs = [_fit(item, arms[0]) for item in raw]
    return tuple(value for value, _ in pairs), wanted if any(bad for _, bad in pairs) else ""


def _out_of_range(value: Any, metadata: Mapping[str, Any]) -> str:
    """Say what was expected when a value, or an item of it, breaks its bounds."""
    items = value if isinstance(value, tuple) else (value,)
    choices = metadata.get("choices")
    if choices is not None and any(item not in choices for item in items):
        return "one of " + ", ".join(map(to_toml, choices))
    for key, words, holds in _BOUNDS:
        if key in metadata and not all(holds(item, metadata[key]) for item in items):
            return f"{words} {to_toml(metadata[key])}"
    return ""


def _comment(field: dataclasses.Field[Any], hint: Any) -> list[str]:
    """The lines above a value: its documentation, its range, its choices."""
    doc = str(field.metadata.get("doc", "")).strip().rstrip(".")
    parts = [doc[:1].upper() + doc[1:]]
    limits = [
        f"{words} {field.metadata[key]}" for key, words, _ in _BOUNDS if key in field.metadata
    ]
    if limits:
        parts.append(" and ".join(limits).capitalize())
    if "choices" in field.metadata:
        parts.append("One of " + ", ".join(map(to_toml, field.metadata["choices"])))
    if types.NoneType in get_args(hint):
        parts.append("Absent: none")
    text = ". ".join(part for part in parts if part)
    return textwrap.wrap(text + ".", 90, initial_indent="# ", subsequent_indent="# ")
