"""All labels of the objects of today, and which one counts for each; kept up to date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from active_learning.labels.label import counting
from annotator.core.labels import SKIP, Label
from annotator.review.object_index import Key, ObjectIndex
from annotator.study.label_history import Changes, Revision

_ACT_BITS = 23
_NOBODY: dict[int, Label] = {}


def number_of(revision: Revision) -> int:
    """A revision as one number that grows with time and that a browser can hold.

    Examples
    --------
    >>> revision_of(number_of(Revision(7, 3)))
    Revision(label=7, act=3)
    """
    return (revision.label << _ACT_BITS) + revision.act


def revision_of(number: int) -> Revision:
    """The revision that a number stands for."""
    return Revision(number >> _ACT_BITS, number & ((1 << _ACT_BITS) - 1))


@dataclass(slots=True, eq=False)
class LabelIndex:
    """Labels by the objects of today.

    A label that was moved to another mask counts there only while its own mask is gone, as
    :func:`active_learning.rounds.current_labels.labelled_image` has it.
    """

    object_index: ObjectIndex
    now: Revision = field(default_factory=Revision)
    touched: dict[Key, Revision] = field(default_factory=dict)
    _objects: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _standing: dict[int, Label] = field(default_factory=dict)
    _of_mask: dict[tuple[str, str], dict[int, Label]] = field(default_factory=dict)
    _withdrawn: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for image_id, indexed in self.object_index.indexed.items():
            for key, number in zip(indexed.mask_keys, indexed.ids.tolist(), strict=True):
                self._objects.setdefault((image_id, key), []).append(number)

    def apply(self, changes: Changes) -> set[Key]:
        """Take in new labels, undos and redos; return the objects that they change."""
        changed: set[Key] = set()
        for label in changes.labels:
            changed |= self._apply(label)
        for turn in changes.turns:
            change = self._withdrawn.update if turn.kind == "undo" else self._restore
            change(turn.label_ids)
            for key in self._keys(turn.label_ids):
                self._touch(key, Revision(0, turn.id))
                changed.add(key)
        self.now = changes.now
        return changed

    def _apply(self, label: Label) -> set[Key]:
        family = label.origin or label.id
        mask = label.image_id, label.mask_key
        other = self._standing.get(family)
        if mask not in self._objects or (other is not None and not other.origin):
            return set()
        if other is not None:
            del self._of_mask[other.image_id, other.mask_key][family]
        self._standing[family] = label
        self._of_mask.setdefault(mask, {})[family] = label
        keys = {(label.image_id, number) for number in self._objects[mask]}
        for key in keys:
            self._touch(key, Revision(label.id, 0))
        return keys

    def _restore(self, label_ids: Iterable[int]) -> None:
        self._withdrawn.difference_update(label_ids)

    def _touch(self, key: Key, revision: Revision) -> None:
        last = self.touched.get(key, Revision())
        self.touched[key] = Revision(max(last.label, revision.label), max(last.act, revision.act))

    def _keys(self, label_ids: Iterable[int]) -> set[Key]:
        found = (self._standing.get(one) for one in label_ids)
        return {key for label in found if label is not None for key in self._keys_of(label)}

    def _keys_of(self, label: Label) -> list[Key]:
        numbers = self._objects[label.image_id, label.mask_key]
        return [(label.image_id, number) for number in numbers]

    def keys_of(self, label_ids: Iterable[int]) -> list[Key]:
        """Objects that some labels are of, withdrawn or not, in order."""
        return sorted(self._keys(label_ids))

    def code_of(self, label_ids: Sequence[int]) -> int:
        """The code that the labels of one act gave; skip where none of them is known."""
        found = (self._standing.get(one) for one in label_ids)
        return next((label.code for label in found if label is not None), SKIP)

    def labels_of(self, key: Key) -> list[Label]:
        """The labels of an object that were not taken back, in the order of arrival."""
        indexed = self.object_index.indexed[key[0]]
        mask = indexed.mask_keys[indexed.position[key[1]]]
        labels = self._of_mask.get((key[0], mask), _NOBODY)
        return [label for family, label in sorted(labels.items()) if family not in self._withdrawn]

    def counting(self, key: Key) -> Label | None:
        """The label that counts, as :func:`active_learning.labels.label.current` says."""
        labels = self.labels_of(key)
        return counting(labels) if labels else None

    def last_word(self, key: Key, source: str, author: str) -> int | None:
        """The code that an author gave last, or None."""
        own = [one for one in self.labels_of(key) if one.source == source and one.author == author]
        return counting(own).code if own else None

    def since(self, revision: Revision) -> list[Key]:
        """Objects whose labels were added, undone or redone after a revision."""
        if revision == self.now:
            return []
        return [
            key
            for key, last in self.touched.items()
            if last.label > revision.label or last.act > revision.act
        ]
