"""How one image is annotated, step by step in the order of the work.

Objects are proposed without weights (``SuperpixelSettings``) or by Segment Anything
(:mod:`annotator.settings.sam`), joined, pruned and described; each then has a class. Cells
are what is neither white nor bone, and at last each pixel gets one class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.core.classes import CLASS_NAMES
from annotator.settings.bounds import check_bounds, setting_error


@dataclass(frozen=True, slots=True)
class SuperpixelSettings:
    """How white regions, bone and tissue are outlined by colour alone, without Segment Anything.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    grid_um: float = field(
        default=0.5,
        metadata={
            "doc": "touching adipocytes are separated on pixels of about this size, um; finer "
            "follows thin walls between them better, and takes longer",
            "ge": 0.1,
            "le": 4.0,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "superpixel")


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """When an outline by Segment Anything takes the place of one by colour.

    An outline by Segment Anything (SAM) is used where SAM is sure of it; everywhere else
    the outline by colour stays.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    least_score: float = field(
        default=0.88,
        metadata={"doc": "least quality that SAM predicts for its mask, 0..1", "ge": 0, "le": 1},
    )
    least_stability: float = field(
        default=0.92,
        metadata={"doc": "least stability of SAM's mask, 0..1", "ge": 0, "le": 1},
    )
    same_iou: float = field(
        default=0.5,
        metadata={
            "doc": "two outlines mean the same thing from this overlap (IoU) on",
            "gt": 0,
            "le": 1,
        },
    )
    part_um2: float = field(
        default=200.0,
        metadata={
            "doc": "a SAM mask inside a region and smaller than this is a nucleus or the like, "
            "and is not used, um2",
            "ge": 0,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "join")


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """Which proposed objects are dropped: duplicates, nested ones and specks.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    duplicate_iou: float = field(
        default=0.8,
        metadata={
            "doc": "of two objects that overlap more than this (IoU), the better one stays",
            "gt": 0.0,
            "le": 1.0,
        },
    )
    nested_share: float = field(
        default=0.95,
        metadata={
            "doc": "an object is nested where at least this share of it lies inside another one",
            "gt": 0.0,
            "le": 1.0,
        },
    )
    nested_ratio: float = field(
        default=2.0,
        metadata={
            "doc": "nested objects go when the outer one is at most this many times larger; "
            "beyond that they are things of their own, such as an adipocyte in a tissue mask",
            "ge": 1.0,
        },
    )
    min_area_px: int = field(
        default=12, metadata={"doc": "smaller objects are specks and are dropped, px", "ge": 1}
    )
    min_area_um2: float = field(
        default=60.0,
        metadata={
            "doc": "smaller objects are specks, too, um2 at the scale that is known or guessed: "
            "less than the smallest vacuole, and than the gaps that count as tissue",
            "ge": 0.0,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "prune")


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """Which features an object is described by before it is given a class.

    Raises
    ------
    SettingsError
        When the preset is unknown.
    """

    preset: str = field(
        default="trephine",
        metadata={
            "doc": "feature set: trephine (colour, texture, shape, surroundings) or bambo "
            "(the seven of the paper, as published)",
            "choices": ("trephine", "bambo"),
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "describe")


@dataclass(frozen=True, slots=True)
class CellMaskSettings:
    """What counts as stained tissue, and so as cells where it is not bone.

    Raises
    ------
    SettingsError
        When the preset is unknown, or a size is negative.
    """

    preset: str = field(
        default="adaptive",
        metadata={
            "doc": "adaptive: white by the image's own reference; bambo: all channels >= 170",
            "choices": ("adaptive", "bambo"),
        },
    )
    gap_um2: float = field(
        default=60.0,
        metadata={"doc": "white gaps up to this size belong to the tissue, um2", "ge": 0.0},
    )

    def __post_init__(self) -> None:
        check_bounds(self, "cellmask")


@dataclass(frozen=True, slots=True)
class StitchSettings:
    """Which class a pixel gets where objects overlap, and which cut-off pieces are specks.

    Raises
    ------
    SettingsError
        When the order does not name each class once, or a value is out of its range.
    """

    order: tuple[str, ...] = field(
        default=("bone", "fat", "bg", "cell"),
        metadata={
            "doc": "precedence of the classes where objects overlap, the winner first; each "
            "class once",
        },
    )
    fragment_share: float = field(
        default=0.1,
        metadata={
            "doc": "a piece cut off an object is a speck below this share of its largest, 0-1",
            "ge": 0.0,
            "le": 1.0,
        },
    )
    fragment_px: int = field(
        default=16,
        metadata={"doc": "a piece cut off an object is a speck below this area, pixels", "ge": 0},
    )

    def __post_init__(self) -> None:
        check_bounds(self, "stitch")
        if sorted(self.order) != sorted(CLASS_NAMES):
            expected = f"each of {', '.join(CLASS_NAMES)} once"
            raise setting_error("stitch", "order", expected, self.order)
