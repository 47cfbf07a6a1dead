"""How one image is annotated: proposals, pruning, features, the cell mask, stitching."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class SuperpixelSettings:
    """How the image is cut without weights."""

    grid_um: float = field(
        default=0.5,
        metadata={
            "doc": "adipocytes are cut on a grid about this fine, um per px",
            "ge": 0.1,
            "le": 4.0,
        },
    )


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """When an outline by SAM takes the place of a classical one."""

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
        metadata={"doc": "two outlines mean the same thing from this IoU on", "gt": 0, "le": 1},
    )
    part_um2: float = field(
        default=200.0,
        metadata={
            "doc": "smaller masks inside a region are nuclei and the like, um2",
            "ge": 0,
        },
    )


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """Which proposals are dropped before they are described."""

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
            "doc": "an object that lies this much inside another one is nested in it",
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
        default=12, metadata={"doc": "smaller objects are specks, px", "ge": 1}
    )
    min_area_um2: float = field(
        default=60.0,
        metadata={
            "doc": "smaller objects are specks, too, um2 at the scale that is known or guessed: "
            "less than the smallest vacuole, and than the gaps that count as tissue",
            "ge": 0.0,
        },
    )


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """Which features are computed.

    Raises
    ------
    ValueError
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
        if self.preset not in ("trephine", "bambo"):
            raise ValueError(f"preset must be 'trephine' or 'bambo', got {self.preset!r}")


@dataclass(frozen=True, slots=True)
class CellMaskSettings:
    """What counts as stained tissue."""

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


@dataclass(frozen=True, slots=True)
class StitchSettings:
    """Who wins a pixel, and when a piece that was cut off is a speck."""

    order: tuple[str, ...] = field(
        default=("bone", "fat", "bg", "cell"),
        metadata={"doc": "precedence of the classes where objects overlap, the winner first"},
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
        if sorted(self.order) != sorted(CLASS_NAMES):
            raise SettingsError(
                f"stitch order: expected each of {', '.join(CLASS_NAMES)} once, "
                f"got {list(self.order)}; correct [stitch] in study.toml"
            )
        if not 0 <= self.fragment_share <= 1 or self.fragment_px < 0:
            raise SettingsError(
                f"stitch: expected fragment_share in 0-1 and fragment_px >= 0, got "
                f"{self.fragment_share} and {self.fragment_px}; correct [stitch] in study.toml"
            )
