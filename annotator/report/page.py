"""The report as a page: its blocks, and how they become one HTML file.

All text goes through Jinja2's autoescape. Figures and pictures are ``data:`` URIs in ``img``
elements, where nothing in them can run; the page's own policy forbids scripts, frames, forms
and every request to a network, and allows the one style sheet in it by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA, ClassSchema
from annotator.report.canvas import CLASS_COLOURS, ChartFigure

if TYPE_CHECKING:
    from jinja2 import Environment

# Control characters and halves of surrogate pairs: no page may hold them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph.

    Parameters
    ----------
    text : str
    kind : {"plain", "missing", "fault", "warning"}
        Missing: there is nothing, and how to get it. Fault: a part is damaged.
    """

    text: str
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms and their values."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table; the first cell of a row is its heading.

    Parameters
    ----------
    caption : str
    head : sequence of str
    rows : sequence of sequence of str
        Each as long as `head`.
    folded : bool
        Whether a reader opens it first.
    words : bool
        Whether cells hold words, set to the left, and not figures.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    words: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"{self.caption}: expected rows of {len(self.head)} cells")


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, what stands below it, and its numbers as a table where they are few."""

    drawn: ChartFigure
    caption: str
    table: PageTable | None = None


@dataclass(frozen=True, slots=True)
class Charts:
    """Figures side by side where there is room."""

    items: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of an image.

    Parameters
    ----------
    jpeg : bytes
    width, height : int
        In px.
    label, alt : str
        What stands below it; what is seen.
    """

    jpeg: bytes
    width: int
    height: int
    label: str
    alt: str


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image of the study: its name, a sentence, its pictures."""

    name: str
    text: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images with a common title."""

    title: str
    items: Sequence[ShownImage]


Block = Note | Heading | Facts | PageTable | Charts | Pictures


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Parameters
    ----------
    key : str
        Of the link to it: letters and dashes.
    title : str
    blocks : sequence of Block
    """

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report.

    Parameters
    ----------
    study : str
        Name of its folder.
    time : str
        When it was made: the only line that differs between two runs.
    lead : str
        What the report is about, in a sentence or two.
    cards : sequence of (label, figure, what it means)
    sections : sequence of Section
    schema : ClassSchema
    """

    study: str
    time: str
    lead: str
    cards: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    schema: ClassSchema = DEFAULT_SCHEMA


def render(page: Page) -> str:
    """Write the page as one HTML file that needs no other.

    Examples
    --------
    >>> text = render(Page("<b>", "2026-01-01", "All of it.", (), ()))
    >>> "&lt;b&gt;" in text, "<b>" in text
    (True, False)
    """
    text = files("annotator").joinpath("assets", "report.html.j2").read_text("utf-8")
    colours = dict(zip(CLASS_NAMES, page.schema.colours, strict=True))
    return (
        _environment()
        .from_string(text)
        .render(page=page, colours=colours, figure_colours=CLASS_COLOURS)
    )


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"kind": _kind, "uri": _uri, "policy_hash": _policy_hash}
    return environment


def _printable(value: Any) -> Any:
    """Text without characters that no page may hold; names of files can have any."""
    return _UNPRINTABLE.sub("\ufffd", value) if type(value) is str else value


def _kind(block: Block) -> str:
    return type(block).__name__


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _policy_hash(style: str) -> str:
    """Hash by which the page's policy knows its style sheet (CSP Level 3, section 2.3.1)."""
    digest = hashlib.sha256(str(style).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
