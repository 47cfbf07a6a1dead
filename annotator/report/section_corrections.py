"""The section on what experts changed, from the reports of the pulls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.core.classes import CLASS_NAMES
from annotator.evaluation.corrections import FATES
from annotator.report.figures import fates
from annotator.report.page import Block, Chart, Charts, Note, PageTable
from annotator.report.text import NONE, count, number

_MOST_IMAGES, _MOST_COMMENTS = 10, 20


@dataclass(frozen=True, slots=True)
class Changed:
    """Changes of one class in one image.

    Parameters
    ----------
    objects : mapping of str to int
        By fate, see :data:`annotator.evaluation.corrections.FATES`.
    relabelled_to : mapping of str to int
        Objects by their new class.
    kept_px, changed_px : int
    """

    objects: Mapping[str, int]
    relabelled_to: Mapping[str, int]
    kept_px: int
    changed_px: int


ByClass = Mapping[str, Changed]
Comments = Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Pulls:
    """The changes and comments in the reports of all pulls.

    Parameters
    ----------
    images : mapping of str to mapping of str to Changed
        By class: the last report in which each image was compared with what had been sent.
    comments : sequence of (image, author, text)
        That people wrote in CVAT, each once.
    damaged : sequence of str
        Names of reports that cannot be read.
    """

    images: Mapping[str, ByClass]
    comments: Comments
    damaged: Sequence[str]


def read_pulls(folder: Path) -> Pulls:
    """Read ``pull-*.json``, in the order of time that their names give."""
    images: dict[str, ByClass] = {}
    comments: dict[tuple[str, str, str], None] = {}
    damaged = []
    for path in sorted(folder.glob("pull-*.json")):
        try:
            content = json.loads(path.read_text("utf-8"))["images"]
            changed = {str(one["image"]): _parsed(one["classes"]) for one in content}
            written = [comment for one in content for comment in _comments_of(one)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            damaged.append(path.name)
            continue
        images |= {name: classes for name, classes in changed.items() if classes is not None}
        comments |= dict.fromkeys(written)
    return Pulls(images, tuple(comments), tuple(damaged))


def _parsed(classes: Any) -> ByClass | None:
    """The changes of one image by class; None where nothing was compared."""
    return None if classes is None else {name: _changed(classes[name]) for name in CLASS_NAMES}


def _changed(one: Mapping[str, Any]) -> Changed:
    objects, pixels = one["objects"], one["pixels"]
    return Changed(
        {fate: int(objects[fate]) for fate in FATES},
        {str(to): int(n) for to, n in objects["relabelled_to"].items()},
        int(pixels["kept"]),
        sum(int(pixels[key]) for key in ("relabelled", "added", "deleted")),
    )


def _comments_of(one: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for comment in one.get("comments", ()):
        text = " ".join(str(comment["text"]).split())
        yield str(one["image"]), str(comment["author"]), text


def correction_blocks(pulls: Pulls) -> tuple[Block, ...]:
    """Tables of the objects of each class by what happened to them, and of the images."""
    return (
        *(Note(f"{name} cannot be read; it is left out.", "fault") for name in pulls.damaged),
        *_blocks(pulls),
    )


def _blocks(pulls: Pulls) -> Iterator[Block]:
    if not pulls.images:
        yield Note(
            "No corrections that can be compared with what was sent: trephine push STUDY sends "
            "the rough annotations to CVAT, and trephine pull STUDY brings corrections back.",
            "missing",
        )
    else:
        yield Note(
            f"{count(len(pulls.images), 'image')} came back corrected. Objects are adipocytes, "
            "pieces of bone and of background, and all the cells of an image."
        )
        yield _by_class(pulls.images)
        totals = {name: _objects(pulls.images, name) for name in CLASS_NAMES}
        if any(sum(one.values()) for one in totals.values()):
            caption = "What became of the objects of each class."
            yield Charts((Chart(fates(totals), caption),))
        yield _relabelled(pulls.images)
        yield _most_changed(pulls.images)
    yield Note("How long people worked on an image is not known: CVAT does not send it back.")
    if pulls.comments:
        yield _comments(pulls.comments)


def _objects(images: Mapping[str, ByClass], name: str) -> dict[str, int]:
    return {fate: sum(one[name].objects[fate] for one in images.values()) for fate in FATES}


def _by_class(images: Mapping[str, ByClass]) -> PageTable:
    rows = []
    for name in CLASS_NAMES:
        fate = _objects(images, name)
        before = sum(fate.values()) - fate["added"]
        share = number(100 * (1 - fate["kept"] / before)) if before else NONE
        rows.append((name, *(f"{fate[key]:,}" for key in FATES), share))
    head = ("class", *FATES, "changed, % of those sent")
    return PageTable("Objects by what became of them", head, rows)


def _relabelled(images: Mapping[str, ByClass]) -> Block:
    found: Counter[str] = Counter()
    for classes in images.values():
        for name, one in classes.items():
            found.update({f"{name} → {to}": n for to, n in one.relabelled_to.items()})
    if not found:
        return Note("No object got another class.")
    ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    rows = [(change, f"{n:,}") for change, n in ordered]
    return PageTable("Objects that got another class", ("from → to", "objects"), rows)


def _most_changed(images: Mapping[str, ByClass]) -> PageTable:
    shares = []
    for name, classes in images.items():
        changed = sum(one.changed_px for one in classes.values())
        whole = changed + sum(one.kept_px for one in classes.values())
        shares.append((changed / whole if whole else 0.0, name, changed))
    shares.sort(key=lambda one: (-one[0], one[1]))
    rows = [(name, f"{px:,}", number(100 * share)) for share, name, px in shares[:_MOST_IMAGES]]
    head = ("image", "pixels changed", "% of the image's labelled")
    return PageTable("Images that changed most", head, rows)


def _comments(comments: Comments) -> PageTable:
    shown = comments[-_MOST_COMMENTS:]
    left = len(comments) - len(shown)
    more = f"; {left} earlier ones in report/pull-*.md" if left else ""
    head = ("image", "author", "comment")
    return PageTable(f"What people wrote in CVAT{more}", head, shown, words=True)
