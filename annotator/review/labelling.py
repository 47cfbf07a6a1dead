"""Labels from what a person clicks, and what the page shows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from active_learning.rounds.dataset import REVIEWED
from annotator.core.classes import CLASS_NAMES
from annotator.core.csv import author_faults
from annotator.core.errors import UsageError
from annotator.core.labels import LABEL_NAMES, Label
from annotator.review.errors import NotFound
from annotator.review.label_index import LabelIndex, number_of
from annotator.review.object_index import IndexedObjects, Key
from annotator.study.database import now
from annotator.study.label_history import StoredAct
from annotator.study.labels import LabelledMask

Json = dict[str, Any]

# Whose labels the page shows; a model's are its predictions.
_SHOWN = ("person", "seed", "truth")
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """One class for some objects, as a person gave it.

    Parameters
    ----------
    author : str
    code : int
        0-3, 4 mixed, 5 skip.
    source : {"person", "seed"}
        ``seed`` where a group was named, and not each object looked at.
    round : int
        Of the learning loop.
    confidence : float
        0..1.
    """

    author: str
    code: int
    source: str
    round: int
    confidence: float = 1.0


def code_of_name(name: str) -> int:
    """Code of a class, ``mixed`` or ``skip``.

    Raises
    ------
    UsageError
        When it is none of them.
    """
    if name not in LABEL_NAMES:
        raise UsageError(f"expected one of {', '.join(LABEL_NAMES)}, got {str(name)[:40]!r}")
    return LABEL_NAMES.index(name)


def check_author(name: str) -> str:
    """Refuse a name that labels cannot carry; return it.

    Raises
    ------
    UsageError
    """
    faults = author_faults(name)
    if faults or not name.strip():
        raise UsageError(faults[0] if faults else "expected the name of a person, got none")
    return name


def find_objects(label_index: LabelIndex, ids: Sequence[str]) -> list[tuple[IndexedObjects, int]]:
    """The objects of some ids, each once, in their order.

    Raises
    ------
    NotFound
        When one of them is not there.
    UsageError
        When there is no id at all, or far too many.
    """
    if not 0 < len(ids) <= _MOST or not all(isinstance(one, str) for one in ids):
        raise UsageError(f"expected 1 to {_MOST} objects, got {len(ids)}; choose some")
    return [label_index.object_index.find(one) for one in dict.fromkeys(ids)]


def new_labels(
    label_index: LabelIndex, objects: Iterable[tuple[IndexedObjects, int]], request: LabelRequest
) -> tuple[list[Label], list[LabelledMask]]:
    """Labels and masks to store; an author's last label of an object is not stored twice."""
    time = now()
    labels, masks = [], []
    for indexed, at in objects:
        key = indexed.image.id, int(indexed.ids[at])
        if label_index.last_word(key, request.source, request.author) == request.code:
            continue
        mask = indexed.mask(at)
        masks.append(mask)
        labels.append(
            Label(
                image_id=key[0],
                object_id=key[1],
                code=request.code,
                source=request.source,
                round=request.round,
                author=request.author,
                time=time,
                confidence=request.confidence,
                mask_key=mask.key,
                objects_key=indexed.objects_key,
            )
        )
    return labels, masks


def object_id(key: Key) -> str:
    """Image and number as the page knows them.

    Examples
    --------
    >>> object_id(("0123456789abcdef", 7))
    '0123456789abcdef:7'
    """
    return f"{key[0]}:{key[1]}"


def current_state(label_index: LabelIndex, key: Key) -> Json:
    """The label of an object that counts, as the page shows it."""
    label = label_index.counting(key)
    if label is not None and label.source not in _SHOWN:
        label = None
    touched = label_index.touched.get(key)
    return {
        "id": object_id(key),
        "label": None if label is None else LABEL_NAMES[label.code],
        "by": None if label is None else label.source,
        "author": None if label is None else label.author,
        "label_seq": 0 if touched is None else number_of(touched),
    }


def act_as_json(
    label_index: LabelIndex, author: str, act: StoredAct | None, code: int, keys: Sequence[Key]
) -> Json:
    """An act as the page knows it; without any new label it has the number 0."""
    return {
        "act": 0 if act is None else act.id,
        "kind": "label" if act is None else act.kind,
        "queue": "" if act is None else act.queue,
        "seq": number_of(label_index.now),
        "code": LABEL_NAMES[code],
        "items": [current_state(label_index, key) for key in keys],
        "notes": note_on_others(label_index, author, keys),
    }


def note_on_others(label_index: LabelIndex, author: str, keys: Sequence[Key]) -> list[str]:
    """A note: for how many objects another person's label counts, whatever the author did."""
    counting = (label_index.counting(key) for key in keys)
    others = Counter(
        label.author
        for label in counting
        if label is not None and label.source == "person" and label.author != author
    )
    return [
        f"{count} {'object keeps' if count == 1 else 'objects keep'} what {name} said"
        for name, count in sorted(others.items())
    ]


def reviewed_counts(label_index: LabelIndex) -> tuple[dict[str, int], int]:
    """Objects that people gave each class, and objects that any person labelled."""
    found = (label_index.counting(key) for key in label_index.touched)
    codes = Counter(label.code for label in found if label is not None and label.source in REVIEWED)
    return {name: codes[at] for at, name in enumerate(CLASS_NAMES)}, codes.total()


def cluster_members(
    keys: Sequence[Key], label_index: LabelIndex, cluster: str
) -> list[tuple[IndexedObjects, int]]:
    """Objects of a cluster that no person has labelled.

    Raises
    ------
    NotFound
        When the cluster has no objects.
    """
    if not keys:
        raise NotFound(
            f"expected a cluster of the study, got {cluster[:40]!r}; load the page again"
        )
    open_ = []
    for key in keys:
        label = label_index.counting(key)
        if label is None or label.source not in REVIEWED:
            indexed = label_index.object_index.indexed[key[0]]
            open_.append((indexed, indexed.position[key[1]]))
    return open_
