"""Single values as study.toml writes them, in the file and in messages."""

from __future__ import annotations

import json
from typing import Any


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


def to_text(raw: Any) -> str:
    """Write what came from a file or from code, for a message."""
    return repr(raw) if isinstance(raw, dict) else to_toml(_as_tuple(raw))


def _as_tuple(raw: Any) -> Any:
    return tuple(_as_tuple(item) for item in raw) if isinstance(raw, list) else raw
