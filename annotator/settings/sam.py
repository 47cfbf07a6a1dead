"""How Segment Anything is asked and which of its masks are kept; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from annotator.core.errors import SettingsError
from annotator.settings.bounds import check_bounds, setting_error

MODES = ("guided", "exact")

PRESETS: dict[str, dict[str, float | str]] = {
    # As published by the Bone Marrow Adipose Tissue notebooks (25,600 points an image).
    "bambo": {
        "mode": "exact",
        "tile_px": 0,
        "points_per_side": 160,
        "pred_iou_thresh": 0.85,
        "stability_score_thresh": 0.85,
        "stability_score_offset": 1.0,
        "box_nms_thresh": 0.7,
        "min_mask_region_area": 100,
    },
}


@dataclass(frozen=True, slots=True)
class SamSettings:
    """How Segment Anything (SAM) is asked for outlines, and which of its masks are kept.

    SAM answers a point on the image with the outline of what lies there. It is asked either
    where white or bone-like ground is, or on a grid over the whole image.

    Raises
    ------
    SettingsError
        When a value is out of its range, or tiles overlap by as much as a tile.
    """

    mode: str = field(
        default="guided",
        metadata={
            "doc": "guided: prompts where white or bone-like ground is; exact: a grid of "
            "points, and the masks of the package's own generator",
            "choices": MODES,
        },
    )
    points_per_side: int = field(
        default=32,
        metadata={
            "doc": "Exact mode: points along each side of the grid; time grows with its square",
            "ge": 1,
            "le": 1024,
        },
    )
    prompts_at_most: int = field(
        default=200,
        metadata={
            "doc": "Guided mode: most points that SAM is asked at, in an image or in each tile",
            "ge": 1,
        },
    )
    least_share: float = field(
        default=0.0001,
        metadata={
            "doc": "Guided mode: smallest object looked for, as a share of the image or tile",
            "ge": 0,
            "le": 1,
        },
    )
    tile_px: int = field(
        default=2048,
        metadata={
            "doc": "An image with a longer side is cut into tiles of at most this side, px, "
            "because SAM shrinks what it sees to 1024 px; 0: never",
            "ge": 0,
        },
    )
    tile_overlap: int = field(
        default=256,
        metadata={"doc": "Neighbouring tiles share at least this many pixels", "ge": 0},
    )
    pred_iou_thresh: float = field(
        default=0.86,
        metadata={
            "doc": "Least quality that SAM predicts for its own mask, 0..1",
            "ge": 0,
            "le": 1,
        },
    )
    stability_score_thresh: float = field(
        default=0.9,
        metadata={
            "doc": "Least stability of a mask: how much the mask cut stricter and the mask cut "
            "looser overlap (IoU), 0..1",
            "ge": 0,
            "le": 1,
        },
    )
    stability_score_offset: float = field(
        default=1.0,
        metadata={
            "doc": "How much stricter and looser, in units of SAM's raw values (logits)",
            "ge": 0,
        },
    )
    box_nms_thresh: float = field(
        default=0.7,
        metadata={
            "doc": "Of two masks whose boxes overlap more than this (IoU), the better one stays",
            "ge": 0,
            "le": 1,
        },
    )
    min_mask_region_area: int = field(
        default=100,
        metadata={"doc": "Holes and islands below this many pixels are removed; 0: none", "ge": 0},
    )
    points_per_batch: int = field(
        default=8,
        metadata={
            "doc": "Points that SAM answers at once; a small number stays in the CPU's cache",
            "ge": 1,
        },
    )
    embeddings_mb: int = field(
        default=2000,
        metadata={
            "doc": "Room in the study for what SAM's encoder made of the images, so that "
            "other settings need not wait for it again, MB; 0: keep nothing",
            "ge": 0,
        },
    )
    threads: int = field(
        default=0,
        metadata={"doc": "CPU threads for SAM; 0 leaves the choice to torch", "ge": 0, "le": 1024},
    )

    def __post_init__(self) -> None:
        check_bounds(self, "sam")
        if self.tile_px and self.tile_overlap >= self.tile_px:
            expected = f"less than tile_px ({self.tile_px})"
            raise setting_error("sam", "tile_overlap", expected, self.tile_overlap)

    @classmethod
    def preset(cls, name: str) -> SamSettings:
        """Settings by name: ``default``, or ``bambo`` as published.

        Examples
        --------
        >>> SamSettings.preset("bambo").points_per_side
        160
        """
        if name == "default":
            return cls()
        if name not in PRESETS:
            known = ", ".join(["default", *PRESETS])
            raise SettingsError(f"expected a SAM preset of {known}, got {name!r}")
        return replace(cls(), **PRESETS[name])  # type: ignore[arg-type]
