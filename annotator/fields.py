"""Settings dataclasses as TOML: written with their documentation, read with all faults.

A setting is a field of a frozen dataclass. Its metadata may hold ``doc`` (one line),
``ge``, ``gt``, ``le``, ``lt`` (bounds, for each item of a tuple) and ``choices``.
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

from annotator.errors import SettingsError

T = TypeVar("T")

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
    hints = get_type_hints(type(settings))
    blocks = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        comment = _comment(field, hints[field.name])
        line = f"# {field.name} =" if value is None else f"{field.name} = {to_toml(value)}"
        blocks.append("\n".join([*comment, line]))
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
    values: dict[str, Any] = {}
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
    parts = [str(field.metadata.get("doc", "")).strip().rstrip(".")]
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
