"""Read JSON of unknown origin: whole, without numbers that are none, with every type checked."""

from __future__ import annotations

import json
from typing import Any

from annotator.core.errors import UsageError


def load_json(data: bytes, name: str) -> Any:
    """The document in a file.

    Parameters
    ----------
    data : bytes
        UTF-8, with or without a byte order mark.
    name : str
        Of the file, for the message.

    Raises
    ------
    UsageError
        When it is not JSON, or neither an object nor a list.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not JSON ({error}); export again") from error
    if not isinstance(document, (dict, list)):
        raise UsageError(f"{name}: expected an object or a list, got a single value")
    return document


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def numbers_of(values: Any, count: int | None = None) -> list[float]:
    """A list of numbers, of any length or of a given one.

    Raises
    ------
    UsageError
        When it is something else.

    Examples
    --------
    >>> numbers_of([1, 2.5], 2)
    [1.0, 2.5]
    """
    known = isinstance(values, list) and all(type(v) in (int, float) for v in values)
    if not known or (count is not None and len(values) != count):
        raise UsageError(f"expected {count or 'only'} numbers, got {str(values)[:60]}")
    try:
        return [float(value) for value in values]
    except OverflowError as error:
        raise UsageError("expected numbers of a picture, got one beyond any") from error
