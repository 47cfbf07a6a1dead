"""Short keys: two things have the same key when, and only when, they say the same.

They name what a study stores (the images, its objects, the settings and models that made
them), so what they are computed from must not change: old studies would be made anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any


def fingerprint(*parts: object) -> str:
    """First 16 hex digits of a sha256 over settings objects, texts and numbers.

    A setting that came later, and has the value ``earlier`` in its field's metadata, is left
    out: with that value all is as it was before there was the setting, and so is the key.

    Examples
    --------
    >>> fingerprint("a", 1) == fingerprint("a", 1)
    True
    >>> fingerprint("a", 1) == fingerprint("a", 2)
    False
    """
    plain = [
        {type(p).__name__: _keyed_values(p)}
        if dataclasses.is_dataclass(p) and not isinstance(p, type)
        else p
        for p in parts
    ]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return short_hash(text)


def _keyed_values(settings: Any) -> dict[str, Any]:
    values = dataclasses.asdict(settings)
    for field in dataclasses.fields(settings):
        if "earlier" in field.metadata and values[field.name] == field.metadata["earlier"]:
            del values[field.name]
    return values


def short_hash(*parts: str | bytes | memoryview) -> str:
    """First 16 hex digits of a sha256 over texts and bytes, one after the other.

    Examples
    --------
    >>> short_hash("marrow")
    'e574bf06a7a938ff'
    >>> short_hash("mar", b"row") == short_hash("marrow")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:16]
