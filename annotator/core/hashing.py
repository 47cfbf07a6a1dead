"""The one key of settings, texts and numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json


def fingerprint(*parts: object) -> str:
    """First 16 hex digits of a sha256 over settings objects, texts and numbers.

    Examples
    --------
    >>> fingerprint("a", 1) == fingerprint("a", 1)
    True
    >>> fingerprint("a", 1) == fingerprint("a", 2)
    False
    """
    plain = [
        {type(p).__name__: dataclasses.asdict(p)}
        if dataclasses.is_dataclass(p) and not isinstance(p, type)
        else p
        for p in parts
    ]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
