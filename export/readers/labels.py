"""From the labels of a file to the codes of our classes, with a list of those nobody explained.

A label that means none of our classes does not spoil the rest of an archive: the pixels that it
lies on top of stay unlabelled, since somebody said that they are something else.
"""

from __future__ import annotations

from collections import Counter

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA, UNLABELLED, ClassSchema
from annotator.core.errors import UsageError
from annotator.core.label_names import EXCLUDE, IGNORE, OUR_NAMES, LabelNames
from export.readers.painting import EXCLUDED

_MOST_NAMES = 5


class LabelReader:
    """Gives the code of a label, and remembers which labels had none.

    Parameters
    ----------
    names : LabelNames
        What a person said about labels.
    schema : ClassSchema
        The colours of the study.
    """

    def __init__(self, names: LabelNames = OUR_NAMES, schema: ClassSchema = DEFAULT_SCHEMA) -> None:
        self.names = names
        self.schema = schema
        self._known = 0
        self._ignored: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._where: dict[str, list[str]] = {}

    def code(self, label: str, image: str) -> int:
        """Code of a class; 255 for a label that is to be ignored, or that is not known.

        :data:`export.readers.painting.EXCLUDED` for one whose pixels count nowhere.

        Parameters
        ----------
        label : str
            As the file gives it.
        image : str
            Where it was found, for the report.
        """
        meaning = self.names.meaning(label)
        if meaning is None:
            self.note_unknown(label, image)
            return UNLABELLED
        self._known += 1
        if meaning == IGNORE:
            self._ignored[label.strip()] += 1
            return UNLABELLED
        return EXCLUDED if meaning == EXCLUDE else CLASS_NAMES.index(meaning)

    def note_unknown(self, label: str, image: str) -> None:
        """Remember a label that means none of the classes."""
        self._unknown[label.strip()] += 1
        images = self._where.setdefault(label.strip(), [])
        if image not in images:
            images.append(image)

    def note_known(self) -> None:
        """Remember that something in the archive could be read."""
        self._known += 1

    def notes(self) -> list[str]:
        """What a person should know, after the last image.

        Raises
        ------
        UsageError
            When there were labels, and none of them was known.
        """
        if self._unknown and not self._known:
            got = ", ".join(map(repr, list(self._unknown)[:_MOST_NAMES]))
            raise UsageError(
                f"expected the labels {', '.join(CLASS_NAMES)}, got {got}; say what they mean, as "
                f"in --map {_as_example(next(iter(self._unknown)))}, or rename them"
            )
        lines = [
            f"label {label!r} is none of our classes ({count} time(s), in "
            f"{_some(self._where[label])}): its pixels were left unlabelled; to use it, say what "
            f"it means, as in --map {_as_example(label)}"
            for label, count in sorted(self._unknown.items())
        ]
        ignored = ", ".join(f"{label!r} {n}" for label, n in sorted(self._ignored.items()))
        return [*lines, *([f"ignored, as you said: {ignored} time(s)"] if ignored else [])]


def _as_example(label: str) -> str:
    return f"'{label}=fat' (or bg, cell, bone, ignore, exclude)"


def _some(images: list[str]) -> str:
    more = len(images) - _MOST_NAMES
    return ", ".join(images[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
