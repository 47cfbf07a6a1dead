"""What a setting may hold: its type, its bounds and its choices, checked in one place.

A setting is a field of a frozen dataclass, and the metadata of the field say what it may
hold: ``ge``, ``gt``, ``le``, ``lt`` (bounds, for each item of a tuple) and ``choices``.
Every class of settings calls :func:`check_bounds` when it is made. Reading ``study.toml``
asks :func:`broken_rule` first, so that all faults of a file are named at once, in the same
words. By hand a class checks only what metadata cannot say, such as the order of two fields.
"""

from __future__ import annotations

import dataclasses
import operator
import sys
import types
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

from annotator.core.errors import SettingsError
from annotator.settings.toml_values import to_text, to_toml

MOST_RANDOM_STATE = 2**32 - 1
"""Largest start of the random generators of scikit-learn."""

_TYPES: Mapping[type, str] = {
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


def check_bounds(settings: Any, table: str | None = None) -> None:
    """Refuse settings of which a field breaks its type, its bounds or its choices.

    Parameters
    ----------
    settings : dataclass
        Its fields' metadata say what they may hold.
    table : str, optional
        Its table in ``study.toml``, empty for the top of the file; None for settings that
        do not stand there.

    Raises
    ------
    SettingsError
        Naming the first field that does not fit, what was expected and what came.

    Examples
    --------
    >>> from annotator.settings.annotation import JoinSettings
    >>> JoinSettings(least_score=7)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    annotator.core.errors.SettingsError: [join] least_score: expected at most 1, got 7; correct ...
    """
    hints = field_types(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if expected := broken_rule(value, hints[field.name], field.metadata):
            if table is None:
                raise SettingsError(
                    f"{type(settings).__name__}.{field.name}: expected {expected}, "
                    f"got {to_text(value)}; give it another value"
                )
            raise setting_error(table, field.name, expected, value)


def setting_error(table: str, key: str, expected: str, value: Any) -> SettingsError:
    """Say which setting of ``study.toml`` was refused, what was expected and what came.

    Examples
    --------
    >>> print(setting_error("train", "folds", "at least 2", 1))
    [train] folds: expected at least 2, got 1; correct [train] in study.toml
    """
    place = f"[{table}]" if table else key
    return SettingsError(
        f"{setting_name(table, key)}: expected {expected}, got {to_text(value)}; "
        f"correct {place} in study.toml"
    )


def setting_name(table: str, key: str) -> str:
    """How messages call a setting: its table, where it stands in one, and its key."""
    return f"[{table}] {key}" if table else key


def broken_rule(value: Any, hint: Any, metadata: Mapping[str, Any]) -> str:
    """What was expected of a value that does not fit its field; empty where it fits.

    Parameters
    ----------
    value : object
        A list does for a tuple, as in a TOML file.
    hint : type
        Of the field: bool, int, float, str, a tuple of one of these, or one of these or None.
    metadata : mapping
        Of the field.

    Examples
    --------
    >>> broken_rule(1.5, float, {"ge": 0, "le": 1})
    'at most 1'
    >>> broken_rule(2.5, int, {})
    'a whole number'
    """
    if value is None and types.NoneType in get_args(hint):
        return ""
    hint = without_none(hint)
    if not _has_type(value, hint):
        return _type_in_words(hint)
    items = value if isinstance(value, (tuple, list)) else (value,)
    if any(item not in metadata.get("choices", items) for item in items):
        return choices_in_words(metadata)
    for key, words, holds in _BOUNDS:
        if key in metadata and not all(holds(item, metadata[key]) for item in items):
            return f"{words} {to_toml(metadata[key])}"
    return ""


def bounds_in_words(metadata: Mapping[str, Any]) -> str:
    """The range of a field; empty where it has none.

    Examples
    --------
    >>> bounds_in_words({"gt": 0.5, "le": 1.0})
    'more than 0.5 and at most 1.0'
    """
    bounds = [f"{words} {to_toml(metadata[key])}" for key, words, _ in _BOUNDS if key in metadata]
    return " and ".join(bounds)


def choices_in_words(metadata: Mapping[str, Any]) -> str:
    """The values that a field may have; empty where it has no such list.

    Examples
    --------
    >>> choices_in_words({"choices": ("guided", "exact")})
    'one of "guided", "exact"'
    """
    choices = metadata.get("choices", ())
    return "one of " + ", ".join(map(to_toml, choices)) if choices else ""


def field_types(kind: type[Any]) -> Mapping[str, Any]:
    """The type of each field of a settings class, by name."""
    return get_type_hints(kind)


def without_none(hint: Any) -> Any:
    """The type of a field that may also be None, without the None."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(arm for arm in get_args(hint) if arm is not types.NoneType)
    return hint


def _has_type(value: Any, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return _has_tuple_type(value, get_args(hint))
    # True and False are whole numbers to Python, and to no one else.
    if isinstance(value, bool):
        return hint is bool
    if hint is int:
        return isinstance(value, Integral)
    if hint is float:
        # Neither infinite nor NaN, nor a whole number that is too large for a float.
        real = isinstance(value, Real)
        return real and bool(abs(value) <= sys.float_info.max)
    return isinstance(value, hint)


def _has_tuple_type(value: Any, arms: tuple[Any, ...]) -> bool:
    if not isinstance(value, (tuple, list)):
        return False
    any_length = arms[-1] is Ellipsis
    return (any_length or len(value) == len(arms)) and all(_has_type(i, arms[0]) for i in value)


def _type_in_words(hint: Any) -> str:
    if get_origin(hint) is not tuple:
        return _TYPES[hint]
    arms = get_args(hint)
    item = _TYPES[arms[0]]
    if arms[-1] is Ellipsis:
        return f"a list, each item {item}"
    return f"a list of {len(arms)}, each {item}"
