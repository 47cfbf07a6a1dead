"""The labels that a study needs on a CVAT server, and their ids there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

from annotator.core.classes import CLASS_NAMES, ClassSchema
from annotator.core.errors import CvatError
from export.cvat.client.server import Attribute, CvatLabel
from export.readers.corrected import EXCLUDE

OBJECT, CONFIDENCE = "object", "confidence"
"""Attributes of a shape: number of the object in the rough map, confidence of its class in %."""
_ATTRIBUTES = (
    Attribute(OBJECT, "text"),
    Attribute(CONFIDENCE, "number", ("0", "100", "1"), "0"),
)
EXCLUDE_LABEL = CvatLabel(EXCLUDE, "#ff00ff")


def labels_of(schema: ClassSchema, exclude: bool = False) -> tuple[CvatLabel, ...]:
    """The labels that a project of this study must have, in the order of the class codes.

    Parameters
    ----------
    schema : ClassSchema
        Its colours are those in CVAT.
    exclude : bool
        Add the label ``exclude``, which a project may have: what is drawn with it counts nowhere.

    Examples
    --------
    >>> from annotator.core.classes import DEFAULT_SCHEMA
    >>> [(label.name, label.colour) for label in labels_of(DEFAULT_SCHEMA)][:2]
    [('bg', '#008000'), ('fat', '#800000')]
    """
    classes = tuple(
        CvatLabel(name, colour.lower(), _ATTRIBUTES)
        for name, colour in zip(CLASS_NAMES, schema.colours, strict=True)
    )
    return (*classes, EXCLUDE_LABEL) if exclude else classes


def label_differences(wanted: Iterable[CvatLabel], found: Iterable[CvatLabel]) -> tuple[str, ...]:
    """In what the labels of a project differ from those of the study; empty where they agree.

    The order of labels and attributes does not count, nor do their ids.

    Parameters
    ----------
    wanted : iterable of CvatLabel
        Those of the study.
    found : iterable of CvatLabel
        Those of the project.

    Returns
    -------
    tuple of str
        A line for each difference.

    Examples
    --------
    >>> theirs = [CvatLabel("fat", "#ff0000"), CvatLabel("x", "#0")]
    >>> label_differences([CvatLabel("fat", "#800000")], theirs)
    ('fat: colour #800000 expected, #ff0000 there', 'x: not a class of this study')
    """
    by_name = {label.name: label for label in found}
    lines = []
    for label in wanted:
        other = by_name.pop(label.name, None)
        if other is None:
            lines.append(f"{label.name}: missing")
            continue
        if other.colour.lower() != label.colour.lower():
            lines.append(f"{label.name}: colour {label.colour} expected, {other.colour} there")
        lines += _attribute_differences(label, other)
    strange = (name for name in by_name if name != EXCLUDE)
    return (*lines, *(f"{name}: not a class of this study" for name in strange))


def _attribute_differences(wanted: CvatLabel, found: CvatLabel) -> list[str]:
    by_name = {attribute.name: attribute for attribute in found.attributes}
    lines = []
    for attribute in wanted.attributes:
        name, other = attribute.name, by_name.pop(attribute.name, None)
        if other is None:
            lines.append(f"{wanted.name}: attribute {name} missing")
        elif (other.kind, *_range(other)) != (attribute.kind, *_range(attribute)):
            lines.append(f"{wanted.name}: attribute {name} is of another kind or range")
    return lines + [f"{wanted.name}: attribute {name} is not ours" for name in by_name]


def _range(attribute: Attribute) -> tuple[str, ...]:
    """Least, most and step of a number; a text has no range, whatever the server writes there."""
    return tuple(attribute.values) if attribute.kind == "number" else ()


def with_ids(labels: Iterable[CvatLabel]) -> tuple[CvatLabel, ...]:
    """Give labels and attributes ids of our own, for shapes that never reach a server."""
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
        """Id of the label of a class code, 0-3."""
        return _known(self._labels[code].id)

    def code(self, label: int) -> int | None:
        """Class code, 0-3, of a label; None for a label that the study does not know."""
        return self._codes.get(label)

    def attributes(self, code: int, **values: str) -> dict[int, str]:
        """Values of attributes, given by name, by the ids that the attributes of a class have."""
        ids = {one.name: _known(one.id) for one in self._labels[code].attributes}
        return {ids[name]: value for name, value in values.items()}


def _known(number: int | None) -> int:
    if number is None:
        raise CvatError("expected labels with their ids, as the server gives them, got others")
    return number
