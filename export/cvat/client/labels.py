"""The labels of a study on a CVAT server: what they must be, and their ids there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

from annotator.core.classes import CLASS_NAMES, ClassSchema
from annotator.core.errors import CvatError
from export.cvat.client.server import Attribute, CvatLabel

OBJECT, CONFIDENCE = "object", "confidence"
"""Attributes of a shape: id of the object in the rough map; how sure its class is, in percent."""
_ATTRIBUTES = (
    Attribute(OBJECT, "text"),
    Attribute(CONFIDENCE, "number", ("0", "100", "1"), "0"),
)


def labels_of(schema: ClassSchema) -> tuple[CvatLabel, ...]:
    """The labels that a project of ours has, in the order of their codes.

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> [(label.name, label.colour) for label in labels_of(DEFAULT_SCHEMA)][:2]
    [('bg', '#008000'), ('fat', '#800000')]
    """
    return tuple(
        CvatLabel(name, colour.lower(), _ATTRIBUTES)
        for name, colour in zip(CLASS_NAMES, schema.colours, strict=True)
    )


def label_differences(wanted: Iterable[CvatLabel], found: Iterable[CvatLabel]) -> tuple[str, ...]:
    """What a project lacks or has otherwise, a line each; empty where it fits.

    The order of labels and attributes does not count, nor do their ids.

    Examples
    --------
    >>> theirs = [CvatLabel("fat", "#ff0000"), CvatLabel("x", "#0")]
    >>> label_differences([CvatLabel("fat", "#800000")], theirs)
    ('fat: colour #800000 expected, #ff0000 there', 'x: not a class of this study')
    """
    there = {label.name: label for label in found}
    lines = []
    for label in wanted:
        other = there.pop(label.name, None)
        if other is None:
            lines.append(f"{label.name}: missing")
            continue
        if other.colour.lower() != label.colour.lower():
            lines.append(f"{label.name}: colour {label.colour} expected, {other.colour} there")
        lines += _attribute_differences(label, other)
    return (*lines, *(f"{name}: not a class of this study" for name in there))


def _attribute_differences(wanted: CvatLabel, found: CvatLabel) -> list[str]:
    there = {one.name: one for one in found.attributes}
    lines = []
    for one in wanted.attributes:
        other = there.pop(one.name, None)
        if other is None:
            lines.append(f"{wanted.name}: attribute {one.name} missing")
        elif (other.kind, *_range(other)) != (one.kind, *_range(one)):
            lines.append(f"{wanted.name}: attribute {one.name} is of another kind or range")
    return lines + [f"{wanted.name}: attribute {name} is not ours" for name in there]


def _range(attribute: Attribute) -> tuple[str, ...]:
    """Least, most, step; a text has none, whatever stands there."""
    return tuple(attribute.values) if attribute.kind == "number" else ()


def with_ids(labels: Iterable[CvatLabel]) -> tuple[CvatLabel, ...]:
    """Number labels and their attributes, for shapes that no server will see."""
    count = itertools.count(1)
    return tuple(
        replace(
            label,
            id=next(count),
            attributes=tuple(replace(one, id=next(count)) for one in label.attributes),
        )
        for label in labels
    )


class LabelIds:
    """Ids of our labels and their attributes on a server.

    Parameters
    ----------
    labels : iterable of CvatLabel
        As the server gives them; see :func:`label_differences` for whether they are ours.
    """

    def __init__(self, labels: Iterable[CvatLabel]) -> None:
        by_name = {label.name: label for label in labels}
        self._labels = [by_name[name] for name in CLASS_NAMES]
        self._codes = {label.id: code for code, label in enumerate(self._labels)}

    def label(self, code: int) -> int:
        """Id of the label of a class."""
        return _known(self._labels[code].id)

    def code(self, label: int) -> int | None:
        """Class of a label; None for one that is not ours."""
        return self._codes.get(label)

    def attributes(self, code: int, **values: str) -> dict[int, str]:
        """Values by the ids of the attributes of a class."""
        ids = {one.name: _known(one.id) for one in self._labels[code].attributes}
        return {ids[name]: value for name, value in values.items()}


def _known(number: int | None) -> int:
    if number is None:
        raise CvatError("expected labels with their ids, as the server gives them, got others")
    return number
