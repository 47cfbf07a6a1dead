"""Keys: what they are made of, and that short ones are the start of a sha256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pytest

from annotator.core.hashing import fingerprint, short_hash


@dataclass(frozen=True)
class KeyedThing:
    size: float = 0.5


@dataclass(frozen=True)
class KeyedThingGrown:
    size: float = 0.5
    colour: str = field(default="red", metadata={"earlier": "grey"})


@pytest.mark.parametrize("parts", [("marrow",), ("mar", "row"), (b"mar", "row"), ("", b"marrow")])
def test_a_short_hash_is_the_start_of_the_sha256_of_all_parts(parts):
    assert short_hash(*parts) == hashlib.sha256(b"marrow").hexdigest()[:16]


def test_texts_count_as_utf8_and_arrays_as_their_bytes():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    whole = "Gräz".encode() + pixels.tobytes()
    assert short_hash("Gräz", pixels.data) == hashlib.sha256(whole).hexdigest()[:16]


def test_a_fingerprint_holds_the_class_and_the_values_of_settings():
    assert fingerprint(KeyedThing()) == fingerprint(KeyedThing(0.5))
    assert fingerprint(KeyedThing()) != fingerprint(KeyedThing(0.6))
    assert fingerprint(KeyedThing()) == fingerprint({"KeyedThing": {"size": 0.5}})


def test_a_setting_that_came_later_leaves_keys_as_they_were_at_its_earlier_value():
    was = fingerprint({"KeyedThingGrown": {"size": 0.5}})
    assert fingerprint(KeyedThingGrown(colour="grey")) == was
    assert fingerprint(KeyedThingGrown()) != was
    assert fingerprint(KeyedThingGrown(0.6, "grey")) != was
