"""The house in one picture: floors, rooms, modules, and who uses whom; ``make house``.

Floors and rooms are those of the import contract in ``pyproject.toml``, modules and arrows
those of the code. An arrow that follows from two others is left out, so that an arrow reads:
this room uses that one, and may use what that one uses.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from pathlib import Path
from textwrap import wrap

import grimp

ROOT = Path(__file__).resolve().parents[2]
PURPOSE = {
    "annotator.__main__": "python -m annotator",
    "annotator.cli": "the command trephine: parse, call, print",
    "annotator.review": "the page to correct objects at a glance",
    "annotator.report": "one HTML page about a study",
    "annotator.demo": "drawn and real fields, annotated and compared",
    "annotator.doctor": "what is missing, what to do",
    "annotator.cvat_function": "the rough annotation inside CVAT",
    "annotator.pipeline": "images in, rough annotations out",
    "export": "maps to other programs and back: CVAT, QuPath, a data set to train on",
    "active_learning": "what is learned: groups, labels, classifier, rounds",
    "annotator.evaluation": "how good: against corrected masks",
    "annotator.measurements": "how much: areas, cellularity, flags",
    "annotator.study": "the folder on disk and its database",
    "annotator.segmentation": "objects, the cell mask, the network that sees pixels",
    "annotator.synthetic": "drawn fields, truth known",
    "annotator.pictures": "arrays to pictures",
    "features": "each object described by numbers",
    "annotator.imaging": "one image: read, white, scale",
    "annotator.settings": "all that study.toml holds",
    "annotator.core": "what flows: images, objects, labels, maps; errors, files, workers",
}
"""What a room is for, in a few words."""
WAY = (
    ("annotator.imaging", "read"),
    ("annotator.segmentation", "cut into objects"),
    ("features", "describe them"),
    ("active_learning", "classify them"),
    ("annotator.segmentation", "mask the cells"),
    ("export", "stitch to one map"),
    ("annotator.study", "keep it"),
    ("export", "hand it on"),
)
"""The way of one image through the house."""
LAST_WITH_STUDY = "annotator.study"
"""The lowest room that knows a study; what is below knows pixels only."""

WIDTH, MARGIN, PAD = 1000, 26, 10
ROOF, GAP, SIDE = 96, 38, 14
"""Height of the roof, space between floors and between rooms, px."""
NARROWEST = 134
"""Least width of a room, px."""
TITLE, TEXT, CODE = 14, 11.5, 10.5
"""Sizes of letters, px."""
TITLE_LETTER, TEXT_LETTER, CODE_LETTER = 0.68 * TITLE, 0.58 * TEXT, 0.602 * CODE
"""Widths to reckon with; the last is exact in the usual monospaced fonts."""
TEXT_LINE, CODE_LINE = 15, 14
BADGES = 60
"""Kept free for the numbers of a room, px."""
INK, GREY, NEAR, FAR = "#1f2328", "#59636e", "#3d4650", "#98a2ad"
COLOURS = {
    "annotator": ("#dfeaf6", "#0072b2"),
    "export": ("#fdeccb", "#b87a00"),
    "active_learning": ("#d5efe4", "#007a57"),
    "features": ("#f3dcea", "#a8467f"),
}
"""Ground and rim of each package, told apart with any colour vision."""


@dataclass(frozen=True, slots=True)
class Room:
    """A package or module that the import contract names.

    Parameters
    ----------
    name : str
        As the contract writes it.
    lines : int
        Of all its files.
    modules : tuple of str
        Without the room's own name, sorted: ``"sam.encoder"``; empty for a single module.
    """

    name: str
    lines: int
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoomBox:
    """Where a room is drawn, px, and its text broken into lines.

    Its purpose stands beside its name where there is room, else under it.
    """

    room: Room
    x: float
    y: float
    width: float
    height: float
    purpose: tuple[str, ...]
    beside: bool
    modules: tuple[str, ...]

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height

    @property
    def centre(self) -> float:
        """Middle between left and right."""
        return self.x + self.width / 2


def main() -> None:
    """Write the picture to where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the SVG to write")
    out = parser.parse_args().out
    out.write_text(draw_house(), "utf-8")
    print(f"Made {out}.")


def draw_house() -> str:
    """The whole picture as SVG; equal code gives equal text."""
    house = [[read_room(name) for name in floor] for floor in floors()]
    boxes = place(house)
    divider = boxes[LAST_WITH_STUDY].bottom + GAP / 2
    bottom = max(box.bottom for box in boxes.values())
    height = bottom + 66
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_n(height)}" '
        f'width="{WIDTH}" height="{_n(height)}" font-family="Verdana, DejaVu Sans, sans-serif">',
        "<title>The house of Trephine: rooms on floors, imports pointing down</title>",
        f'<rect width="{WIDTH}" height="{_n(height)}" rx="14" fill="#fbfaf7"/>',
        *_roof([room for floor in house for room in floor]),
        *_divider(divider),
        *_arrows(boxes, arrows(list(boxes))),
        *(part for box in boxes.values() for part in _room(box)),
        *_foot(bottom + 26),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def floors() -> list[list[str]]:
    """The rooms of each floor, top floor first, as the import contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return [re.split("[ |:]+", layer) for layer in layers]


def read_room(name: str) -> Room:
    """List and count what lies in a room."""
    place = ROOT / name.replace(".", "/")
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    lines = sum(len(file.read_text("utf-8").splitlines()) for file in files)
    inside = [file.relative_to(place).with_suffix("") for file in files if place.is_dir()]
    modules = (".".join(file.parts) for file in inside if file.name != "__init__")
    return Room(name, lines, tuple(modules))


def arrows(names: list[str]) -> list[tuple[str, str]]:
    """Which room uses which, without what follows from two other arrows."""
    graph = grimp.build_graph(*sorted({n.split(".")[0] for n in names}), cache_dir=None)
    uses: dict[str, set[str]] = {name: set() for name in names}
    for module in graph.modules:
        for used in graph.find_modules_directly_imported_by(module):
            here, there = _room_of(module, names), _room_of(used, names)
            if here and there and here != there:
                uses[here].add(there)
    return [
        (here, there)
        for here in names
        for there in names
        if there in uses[here]
        and not any(there in _below(between, uses) for between in uses[here] - {there})
    ]


def _room_of(module: str, names: list[str]) -> str | None:
    return next((n for n in names if module == n or module.startswith(n + ".")), None)


def _below(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    """All that a room uses, itself or through others."""
    return uses[name].union(*(_below(other, uses) for other in uses[name]))


def place(house: list[list[Room]]) -> dict[str, RoomBox]:
    """Lay floor under floor, each as high as its fullest room needs."""
    boxes: dict[str, RoomBox] = {}
    y = float(ROOF)
    for floor in house:
        x, row = float(MARGIN), []
        for room, width in zip(floor, _widths(floor), strict=True):
            row.append(_box(room, x, y, width))
            x += width + SIDE
        height = max(box.height for box in row)
        boxes |= {box.room.name: replace(box, height=height) for box in row}
        y += height + GAP
    return boxes


def _widths(floor: list[Room]) -> list[float]:
    """Each room gets what it needs at least, the rest goes by how much there is to write."""
    free = WIDTH - 2 * MARGIN - SIDE * (len(floor) - 1)
    rest = free - NARROWEST * len(floor)
    letters = [1 + len(" ".join(room.modules)) for room in floor]
    return [NARROWEST + rest * much / sum(letters) for much in letters]


def _box(room: Room, x: float, y: float, width: float) -> RoomBox:
    said = f"{PURPOSE[room.name]} ({room.lines:,} lines)"
    beside = _name_width(room) + len(said) * TEXT_LETTER < width - BADGES
    purpose = (said,) if beside else tuple(wrap(said, int((width - 2 * PAD) / TEXT_LETTER)))
    modules = tuple(_broken(room, int((width - 2 * PAD) / CODE_LETTER)))
    under = 0 if beside else len(purpose)
    height = 32 + TEXT_LINE * under + CODE_LINE * len(modules)
    return RoomBox(room, x, y, width, height, purpose, beside, modules)


def _name_width(room: Room) -> float:
    return PAD + len(_short(room)) * TITLE_LETTER + 14


def _short(room: Room) -> str:
    return room.name.removeprefix("annotator.")


def _broken(room: Room, letters: int) -> Iterator[str]:
    """The modules in lines that fit; those of an inner folder after its name."""
    by_folder = sorted(room.modules, key=lambda module: module.rpartition(".")[0])
    for folder, modules in groupby(by_folder, key=lambda module: module.rpartition(".")[0]):
        head = f"{folder.replace('.', '/')}/: " if folder else ""
        names = ", ".join(module.rpartition(".")[2] for module in modules)
        yield from wrap(head + names, letters, break_long_words=False, subsequent_indent="  ")


def _roof(every: list[Room]) -> Iterator[str]:
    modules = sum(len(room.modules) or 1 for room in every)
    lines = sum(room.lines for room in every)
    yield (
        f'<path d="M8 {ROOF - 12} L{WIDTH / 2:g} 8 L{WIDTH - 8} {ROOF - 12} Z" fill="#efe7da" '
        'stroke="#c9b899"/>'
    )
    yield _text(WIDTH / 2, 52, "The house of Trephine", 19, INK, "middle", bold=True)
    said = f"{len(every)} rooms, {modules} modules, {lines:,} lines; imports point down"
    yield _text(WIDTH / 2, 73, said, TEXT, GREY, "middle")


def _divider(y: float) -> Iterator[str]:
    """The line between what knows a study and what knows pixels only."""
    yield f'<path d="M0 {_n(y)} H{WIDTH}" stroke="#c0392b" stroke-dasharray="7 5"/>'
    for at, words in ((y - 5, "above: may use a study"), (y + 13, "below: never sees a study")):
        yield _text(MARGIN, at, words, TEXT, "#a5281b")


def _room(box: RoomBox) -> Iterator[str]:
    ground, rim = COLOURS[box.room.name.split(".")[0]]
    yield (
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" '
        f'height="{_n(box.height)}" rx="6" fill="{ground}" stroke="{rim}" stroke-width="1.2"/>'
    )
    x, y = box.x + PAD, box.y + 20
    yield _text(x, y, _short(box.room), TITLE, INK, bold=True)
    if box.beside:
        yield _text(box.x + _name_width(box.room), y, box.purpose[0], TEXT, GREY)
    else:
        for line in box.purpose:
            y += TEXT_LINE
            yield _text(x, y, line, TEXT, GREY)
    y += 3
    for line in box.modules:
        y += CODE_LINE
        yield _text(x, y, line, CODE, INK, mono=True)
    numbers = [number for number, (room, _) in enumerate(WAY, 1) if room == box.room.name]
    for back, number in enumerate(reversed(numbers)):
        yield from _badge(box.right - 16 - 22 * back, box.y + 15, number)


def _badge(x: float, y: float, number: int) -> Iterator[str]:
    yield f'<circle cx="{_n(x)}" cy="{_n(y)}" r="9" fill="{INK}"/>'
    yield _text(x, y + 4, str(number), TEXT, "#ffffff", "middle", bold=True)


def _arrows(boxes: Mapping[str, RoomBox], pairs: list[tuple[str, str]]) -> Iterator[str]:
    """From the bottom of a room to the top of the one it uses, behind those between."""
    starts = _ports(boxes, pairs)
    ends = _landings(boxes, pairs, starts)
    lanes: dict[str, int] = {}
    for pair in pairs:
        here, there = boxes[pair[0]], boxes[pair[1]]
        start, end = starts[pair], ends[pair]
        colour = NEAR if there.y - here.bottom < GAP + 1 else FAR
        way = f"M{_n(start)} {_n(here.bottom)}"
        if abs(start - end) > 1:
            lane = lanes[pair[1]] = lanes.get(pair[1], 0) + 1
            way += f" V{_n(there.y - GAP + 6 + 5 * (lane % 4))} H{_n(end)}"
        way += f" V{_n(there.y - 7)}"
        yield f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        yield f'<circle cx="{_n(start)}" cy="{_n(here.bottom)}" r="2.6" fill="{colour}"/>'
        tip = f"M{_n(end)} {_n(there.y)} l-4 -8 h8 Z"
        yield f'<path d="{tip}" fill="{colour}"/>'


def _ports(
    boxes: Mapping[str, RoomBox], pairs: list[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """Where each arrow starts: those of a room side by side, in the order of their ends."""
    starts = {}
    for name, box in boxes.items():
        mine = sorted((p for p in pairs if p[0] == name), key=lambda p: boxes[p[1]].centre)
        for at, pair in enumerate(mine):
            starts[pair] = box.x + box.width * (at + 1) / (len(mine) + 1)
    return starts


def _landings(
    boxes: Mapping[str, RoomBox],
    pairs: list[tuple[str, str]],
    starts: Mapping[tuple[str, str], float],
) -> dict[tuple[str, str], float]:
    """Where each arrow ends: straight below its start where that can be."""
    ends: dict[tuple[str, str], float] = {}
    for name, box in boxes.items():
        least = box.x + 14
        for pair in sorted((p for p in pairs if p[1] == name), key=lambda p: starts[p]):
            ends[pair] = max(least, min(starts[pair], box.right - 14))
            least = ends[pair] + 12
    return ends


def _foot(y: float) -> Iterator[str]:
    """The four packages by colour, and the way of one image by number."""
    x = float(MARGIN)
    for name, (ground, rim) in COLOURS.items():
        place = f'x="{_n(x)}" y="{_n(y - 10)}" width="14" height="12"'
        yield f'<rect {place} fill="{ground}" stroke="{rim}"/>'
        yield _text(x + 20, y, name, TEXT, INK)
        x += 40 + len(name) * TEXT_LETTER
    said = "arrow: uses that room and what lies under it; pale ones pass behind rooms"
    yield _text(WIDTH - MARGIN, y, said, TEXT, GREY, "end")
    steps = ", ".join(f"{number} {step}" for number, (_, step) in enumerate(WAY, 1))
    yield _text(MARGIN, y + 24, f"The way of one image, led by pipeline: {steps}", TEXT, INK)


def _text(
    x: float,
    y: float,
    words: str,
    size: float,
    colour: str,
    anchor: str = "start",
    bold: bool = False,
    mono: bool = False,
) -> str:
    more = ' font-weight="bold"' if bold else ""
    if mono:
        more += ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" xml:space="preserve"'
    if anchor != "start":
        more += f' text-anchor="{anchor}"'
    place = f'x="{_n(x)}" y="{_n(y)}"'
    return f'<text {place} font-size="{size:g}" fill="{colour}"{more}>{escape(words)}</text>'


def _n(value: float) -> str:
    """A length as SVG writes it, to a tenth of a pixel."""
    return f"{round(value, 1):g}"


if __name__ == "__main__":
    main()
