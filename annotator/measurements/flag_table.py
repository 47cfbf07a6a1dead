"""Flags set by people: ``flags.csv`` in the study, rows added and never changed.

::

    image,flag,value,author,time
    field 7,haemorrhage,yes,Eva,2026-01-31T09:12:00+00:00

``image`` is the name in the study, of the file, or the id; ``value`` is ``yes``, ``no``, or
``unset``: then our score counts again. Of several rows on one flag of an image the last one
counts. Author and time may be missing where a person typed the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from annotator.core.csv import author_faults, decode_text, read_rows, write_table
from annotator.core.errors import UsageError
from annotator.core.files import storage_error, write_atomic
from annotator.measurements.flags import FLAGS
from annotator.study.database import now
from annotator.study.names import fold
from annotator.study.rough import KnownImage
from annotator.study.study import Study

COLUMNS = ("image", "flag", "value", "author", "time")
_NEEDED = COLUMNS[:3]
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("yes", "y", "true", "1"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
    "unset": None,
}


@dataclass(frozen=True, slots=True)
class FlagDecision:
    """The latest decision on one flag of one image; `value` is None where it was unset."""

    value: bool | None
    author: str


@dataclass(frozen=True, slots=True)
class FlagDecisions:
    """The decisions in ``flags.csv``.

    Parameters
    ----------
    by_image : mapping of str to (mapping of str to FlagDecision)
        By the id of the image, then the name of the flag.
    notes : tuple of str
        Rows that were passed over, and why.
    """

    by_image: Mapping[str, Mapping[str, FlagDecision]]
    notes: tuple[str, ...] = ()


def flags_path(study: Study) -> Path:
    """Path of the table of a study."""
    return study.path / "flags.csv"


def read_flags(path: Path, images: Sequence[KnownImage]) -> FlagDecisions:
    """Read the table; there need not be one.

    Raises
    ------
    UsageError
        When the file as a whole cannot be used.
    """
    table = _read(path)
    if not table:
        return FlagDecisions({})
    where = _columns(path, table[0][1])
    ids = {key: image.id for image in reversed(images) for key in _keys(image)}
    ids |= {fold(image.name): image.id for image in images}
    found: dict[str, dict[str, FlagDecision]] = {}
    notes = []
    for number, cells in table[1:]:
        image, flag, value, author = (_at(cells, where.get(name)) for name in COLUMNS[:4])
        image_id, name = ids.get(fold(image)), _flag(flag)
        if not any((image, flag, value)):
            continue
        if image_id is None or name is None or value.casefold() not in _WORDS:
            notes.append(f"{path.name} row {number} is passed over: {_fault(image_id, name)}")
            continue
        decision = FlagDecision(_WORDS[value.casefold()], author or "a person")
        found.setdefault(image_id, {})[name] = decision
    return FlagDecisions(found, tuple(notes))


def parse_word(text: str) -> tuple[str, str]:
    """Read ``FLAG=yes|no|unset``.

    Raises
    ------
    UsageError
        When flag or word is another.

    Examples
    --------
    >>> parse_word("soft tissue=Yes")
    ('soft_tissue', 'yes')
    """
    flag, _, value = text.partition("=")
    name, word = _flag(flag), value.strip().casefold()
    if name is None or word not in _WORDS:
        raise UsageError(
            f"expected FLAG=yes, no or unset with FLAG one of {', '.join(FLAGS)}, got {text!r}"
        )
    decision = _WORDS[word]
    return name, "unset" if decision is None else "yes" if decision else "no"


def set_flags(study: Study, image: str, words: Iterable[str], author: str) -> KnownImage:
    """Add a person's decisions on an image to the table.

    Parameters
    ----------
    study : Study
    image : str
        Its name in the study, of its file, or its id.
    words : iterable of str
        Each as :func:`parse_word` reads it.
    author : str

    Raises
    ------
    UsageError
        When image, flag, value or author cannot be used; nothing is written.
    StorageError
        When the place refuses; the table is as it was.
    """
    parsed = [parse_word(word) for word in words]
    if author_faults(author) or not author.strip():
        raise UsageError(f"expected an author in one line, got {author!r}; name one (--author)")
    known = _known(study, image)
    path = flags_path(study)
    with study.writing():
        table = [cells for _, cells in _read(path)] or [list(COLUMNS)]
        where = _columns(path, table[0])
        heading = table[0] + [name for name in COLUMNS if name not in where]
        where = _columns(path, heading)
        for flag, value in parsed:
            cells = dict(zip(COLUMNS, (known.name, flag, value, author, now()), strict=True))
            row = [""] * len(heading)
            for name, cell in cells.items():
                row[where[name]] = cell
            table.append(row)
        write_atomic(path, write_table(heading, table[1:]))
    return known


def _known(study: Study, name: str) -> KnownImage:
    images = study.all_images()
    exact = [image for image in images if fold(image.name) == fold(name)]
    found = exact or [image for image in images if fold(name) in _keys(image)]
    if len(found) == 1:
        return found[0]
    many = ", ".join(image.name for image in found[:3])
    what = f"{len(found)} images ({many}); give its name in the study" if found else "none"
    raise UsageError(f"expected the name of an image of {study.path}, {name!r} names {what}")


def _keys(image: KnownImage) -> tuple[str, ...]:
    file = PurePath(image.source)
    return tuple(fold(key) for key in (image.id, image.name, file.name, file.stem))


def _read(path: Path) -> list[tuple[int, list[str]]]:
    """All rows with their numbers, the heading first; none where there is no table."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        text, _ = decode_text(data)
        return read_rows(text, COLUMNS)
    except UsageError as error:
        raise UsageError(f"{path}: {error}; correct it, or take it away") from error


def _columns(path: Path, heading: Sequence[str]) -> dict[str, int]:
    where = {name.casefold(): place for place, name in reversed(list(enumerate(heading)))}
    missing = [name for name in _NEEDED if name not in where]
    if missing:
        raise UsageError(
            f"{path}: expected columns {', '.join(_NEEDED)}, got {', '.join(heading)[:80]!r}; "
            "correct the first row"
        )
    return where


def _at(cells: Sequence[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _flag(text: str) -> str | None:
    """The flag by its name, also in American spelling or with spaces; None for another."""
    name = text.strip().casefold().replace(" ", "_").replace("-", "_")
    same = {"hemorrhage": "haemorrhage", "artifact": "artefact", "sectioning_artefact": "artefact"}
    name = same.get(name, same.get(name.replace("artifact", "artefact"), name))
    return name if name in FLAGS else None


def _fault(image_id: str | None, flag: str | None) -> str:
    if image_id is None:
        return "no image of the study has this name"
    return f"expected a flag of {', '.join(FLAGS)}" if flag is None else "expected yes, no or unset"
