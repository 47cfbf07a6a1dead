"""What other programs call our classes: names, codes and colours, and what each of them means.

A lab has masks in which 1 is bone, and outlines that are called "adipocyte". A person says so
once, with ``--map`` or in ``study.toml``; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import UsageError

IGNORE = "ignore"
"""Meaning of a label whose pixels have none of our classes: they stay unlabelled."""
EXCLUDE = "exclude"
"""Meaning of a label under which people draw what counts nowhere: pen, folds, borders."""
MEANINGS = (*CLASS_NAMES, IGNORE, EXCLUDE)
"""What a label can mean."""
_OWN = (*CLASS_NAMES, EXCLUDE)


@dataclass(frozen=True, slots=True)
class LabelNames:
    """The meanings that a person gave to labels, beside the names that mean themselves.

    Those are the names of the classes, and ``exclude``.

    Parameters
    ----------
    given : mapping of str to str
        Meaning (one of :data:`MEANINGS`) by label. A label is a name, a code such as ``255``,
        or a colour such as ``#ff0000``.

    Raises
    ------
    UsageError
        When a meaning is none of them, a label is empty, or a label has two meanings.

    Examples
    --------
    Case, and blanks around a label, make no difference:

    >>> names = LabelNames({"Adipocyte": "fat", "255": "ignore"})
    >>> names.meaning(" adipocyte"), names.meaning("BONE"), names.meaning("vessel")
    ('fat', 'bone', None)
    """

    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain: dict[str, str] = {}
        for label, meaning in self.given.items():
            key, value = _plain(label), _plain(meaning)
            if not key or value not in MEANINGS:
                raise UsageError(
                    f"expected LABEL=CLASS with one of {', '.join(MEANINGS)} as the class, got "
                    f"{f'{label}={meaning}'!r}"
                )
            if plain.setdefault(key, value) != value:
                raise UsageError(f"label {label!r} has two meanings: {plain[key]} and {value}")
        object.__setattr__(self, "given", plain)

    def meaning(self, label: str) -> str | None:
        """One of :data:`MEANINGS`; None for a label that nobody explained."""
        key = _plain(label)
        return self.given.get(key) or (key if key in _OWN else None)

    def over(self, others: LabelNames) -> LabelNames:
        """These meanings, and those of others for the labels that have none here."""
        return LabelNames({**others.given, **self.given})

    def __str__(self) -> str:
        return ",".join(f"{label}={meaning}" for label, meaning in self.given.items())


OUR_NAMES = LabelNames()
"""The names that mean themselves alone."""


def label_names(text: str) -> LabelNames:
    """Read meanings as ``--map`` gives them.

    Parameters
    ----------
    text : str
        ``LABEL=CLASS`` pairs with commas between them. A label may hold an equals sign; one
        that holds a comma can be written in study.toml only.

    Raises
    ------
    UsageError
        When it cannot be read.

    Examples
    --------
    >>> str(label_names("adipocyte=fat, vessel=ignore,#FF0000=bone"))
    'adipocyte=fat,vessel=ignore,#ff0000=bone'
    """
    given: dict[str, str] = {}
    for pair in filter(str.strip, text.split(",")):
        label, equals, meaning = pair.rpartition("=")
        if not equals:
            raise UsageError(f"expected LABEL=CLASS, such as adipocyte=fat, got {pair.strip()!r}")
        if _plain(given.get(label, meaning)) != _plain(meaning):
            raise UsageError(f"label {label!r} has two meanings: {given[label]} and {meaning}")
        given[label] = meaning
    return LabelNames(given)


def label_names_of_toml(value: Any) -> LabelNames:
    """Read meanings as ``study.toml`` holds them: a table, or the text of ``--map``.

    Raises
    ------
    UsageError
        When it is something else.

    Examples
    --------
    >>> str(label_names_of_toml({"adipocyte": "fat", "7": "ignore"}))
    'adipocyte=fat,7=ignore'
    """
    if isinstance(value, list) and all(isinstance(pair, str) for pair in value):
        value = ",".join(value)
    if isinstance(value, str):
        return label_names(value)
    if isinstance(value, dict) and all(isinstance(meaning, str) for meaning in value.values()):
        return LabelNames(value)
    raise UsageError('expected labels with their class, such as { adipocyte = "fat" }')


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
