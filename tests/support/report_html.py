"""Reads a report as a browser does, and names what no page may hold."""

from __future__ import annotations

import base64
from collections import Counter
from html.parser import HTMLParser

_VOID = frozenset({"meta", "img", "br", "hr", "link", "input", "area", "col", "source", "wbr"})
_REFERENCES = ("aria-labelledby", "aria-describedby", "for", "headers")
# Where addresses may stand: a report has one file, and asks nobody for another.
_ADDRESSES = ("src", "href", "action", "poster", "data", "srcset")


class ReportHtml(HTMLParser):
    """A parsed page.

    Attributes
    ----------
    faults : list of str
        What is wrong with it; empty for a page that is as it should be.
    tags : Counter of str
    images : list of dict
        Attributes of every ``img``.
    text : str
        All that is read, without the style sheet.
    headings : list of int
        Levels, in order.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.tags: Counter[str] = Counter()
        self.images: list[dict[str, str]] = []
        self.headings: list[int] = []
        self.style = ""
        self._text: list[str] = []
        self._open: list[str] = []
        self._ids: list[str] = []
        self._wanted: list[str] = []
        self.feed(page)
        self.close()
        self._finish(page)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        if len(given) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "img":
            self.images.append(given)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        self._attributes(tag, given)

    def _attributes(self, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            self._ids.append(given["id"])
        for name in _REFERENCES:
            self._wanted.extend(given.get(name, "").split())
        for name in _ADDRESSES:
            address = given.get(name, "")
            if address.startswith("#"):
                self._wanted.append(address[1:])
            elif address and not address.startswith("data:image/"):
                self.faults.append(f"<{tag} {name}> points outside: {address[:40]}")
        self.faults += [f"<{tag}> has {name}" for name in given if name.startswith("on")]
        if "style" in given:
            self.faults.append(f"<{tag}> has a style, which the page's policy forbids")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> where {self._open[-1:]} is open")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self._text.append(data)

    def _finish(self, page: str) -> None:
        self.faults += [f"<{tag}> is never closed" for tag in self._open]
        self.faults += [
            f"id {one} is there twice" for one, n in Counter(self._ids).items() if n > 1
        ]
        self.faults += [f"#{one} is nowhere" for one in self._wanted if one not in self._ids]
        self.faults += [
            f"image {number} has no alt text"
            for number, image in enumerate(self.images)
            if not image.get("alt", "").strip()
        ]
        banned = ("script", "iframe", "object", "embed", "form", "link", "base", "svg", "math")
        self.faults += [f"<{tag}> is there" for tag in banned if self.tags[tag]]
        once = ("html", "head", "body", "main", "h1", "title", "header", "footer", "nav", "style")
        self.faults += [f"{self.tags[tag]} <{tag}>" for tag in once if self.tags[tag] != 1]
        steps = zip(self.headings, self.headings[1:], strict=False)
        self.faults += [f"h{two} after h{one}" for one, two in steps if two > one + 1]
        if not page.startswith("<!DOCTYPE html>\n<html lang="):
            self.faults.append("it does not begin as a page does")


def bytes_of(image: dict[str, str]) -> bytes:
    """What a ``data:`` URI holds."""
    return base64.b64decode(image["src"].partition(";base64,")[2], validate=True)
