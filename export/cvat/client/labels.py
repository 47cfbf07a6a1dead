"""The labels that a study needs on a CVAT server, and their ids there."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from annotator.core.classes import CLASS_NAMES, ClassSchema
from annotator.core.errors import CvatError
from annotator.core.label_names import EXCLUDE
from export.cvat.client.server import Attribute, CvatLabel

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


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """The labels of a project beside the classes of a study.

    Parameters
    ----------
    labels : tuple of CvatLabel
        One for each class that was found, under the name of the class, with the attributes
        that are there.
    others : tuple of CvatLabel
        Labels of the project that stand for no class.
    lines : tuple of str
        A line for each difference.
    faults : tuple of str
        Those among them that leave unclear which label stands for a class.
    """

    labels: tuple[CvatLabel, ...]
    others: tuple[CvatLabel, ...]
    lines: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """What a person should know of harmless differences."""
        return [f"labels in CVAT: {line}" for line in self.lines if line not in self.faults]

    def numbers(self) -> dict[str, int]:
        """Number of the label of each class."""
        return {label.name: label.id for label in self.labels if label.id is not None}


def match_labels(
    wanted: Iterable[CvatLabel], found: Iterable[CvatLabel], known: Mapping[str, int] | None = None
) -> LabelMatch:
    """Find the label of each class in a project.

    A label is known by the number that it had at the last push, whatever it is called now, else
    by its name. A project that lacks a class, or where two labels could stand for one, has
    faults; another colour, further labels and other attributes are named only.

    Parameters
    ----------
    wanted : iterable of CvatLabel
        Those of the study.
    found : iterable of CvatLabel
        Those of the project.
    known : mapping of str to int, optional
        Number of the label of each class at the last push.

    Examples
    --------
    >>> theirs = [CvatLabel("adipocyte", "#800000", id=7)]
    >>> match = match_labels([CvatLabel("fat", "#800000")], theirs, {"fat": 7})
    >>> match.labels[0].name, match.lines
    ('fat', ("fat: its label is called 'adipocyte' there",))
    """
    wanted, left = list(wanted), {label.id or label.name: label for label in found}
    names = {label.name for label in wanted}
    by_name = {label.name: label for label in left.values()}
    by_number = {label.id: label for label in left.values() if label.id is not None}
    matched: list[CvatLabel] = []
    lines: list[str] = []
    faults: list[str] = []
    for label in wanted:
        named, numbered = by_name.get(label.name), by_number.get((known or {}).get(label.name, -1))
        other = numbered or named
        fault = _unclear(label, named, numbered, names)
        lines += fault
        faults += fault
        if other is None:
            continue
        if other.name != label.name and not fault:
            lines.append(f"{label.name}: its label is called {other.name!r} there")
        if other.colour.lower() != label.colour.lower():
            lines.append(f"{label.name}: colour {label.colour} expected, {other.colour} there")
        lines += _attribute_differences(label, other)
        matched.append(replace(other, name=label.name))
        left.pop(other.id or other.name, None)
    strange = [name for name in (label.name for label in left.values()) if name != EXCLUDE]
    lines += [f"{name}: not a class of this study" for name in strange]
    return LabelMatch(tuple(matched), tuple(left.values()), tuple(lines), tuple(faults))


def _unclear(
    label: CvatLabel, named: CvatLabel | None, numbered: CvatLabel | None, names: Collection[str]
) -> list[str]:
    """Why it is unclear which label stands for a class; empty where it is clear."""
    if named is None and numbered is None:
        return [f"{label.name}: missing"]
    if numbered is None or numbered.name == label.name:
        return []
    if named is not None or numbered.name in names:
        return [
            f"{label.name}: its label {numbered.id} is called {numbered.name!r} there, and the "
            "names of the classes stand for others: call them as they were"
        ]
    return []


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
    return match_labels(wanted, found).lines


def _attribute_differences(wanted: CvatLabel, found: CvatLabel) -> list[str]:
    by_name = {attribute.name: attribute for attribute in found.attributes}
    lines = []
    for attribute in wanted.attributes:
        name, other = attribute.name, by_name.pop(attribute.name, None)
        if other is None:
            lines.append(f"{wanted.name}: attribute {name} missing")
        elif not _is_same(attribute, other):
            lines.append(f"{wanted.name}: attribute {name} is of another kind or range")
    return lines + [f"{wanted.name}: attribute {name} is not ours" for name in by_name]


def _is_same(wanted: Attribute, found: Attribute) -> bool:
    """Whether an attribute takes the values that ours takes."""
    return (found.kind, *_range(found)) == (wanted.kind, *_range(wanted))


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
        """Values for the attributes of a class, by their ids there.

        Attributes of ours that were deleted or changed in CVAT are left out, those that people
        added get their default: the server gives it out as well.
        """
        ours = {one.name: one for one in _ATTRIBUTES}
        return {
            _known(one.id): values.get(one.name, one.default)
            if one.name in ours and _is_same(ours[one.name], one)
            else one.default
            for one in self._labels[code].attributes
        }


def _known(number: int | None) -> int:
    if number is None:
        raise CvatError("expected labels with their ids, as the server gives them, got others")
    return number
