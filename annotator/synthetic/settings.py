"""The settings of a phantom, and a set of them that covers what laboratories produce."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from annotator.settings.bounds import check_bounds
from annotator.synthetic.draws import between, low_discrepancy, sometimes


@dataclass(frozen=True, slots=True)
class PhantomSettings:
    """One synthetic field: its size, what lies in it, how it was stained and scanned.

    Shares are aims: objects are placed as wholes, so the truth may hold a little more or less
    than was asked for.

    Raises
    ------
    SettingsError
        When a value is outside its range.

    Raises
    ------
    SettingsError
        When a value is out of its range.

    Examples
    --------
    >>> PhantomSettings(um_per_px=0.25, bone=0.4).shape
    (1200, 1920)
    """

    seed: int = field(default=0, metadata={"doc": "Seed of every random stream.", "ge": 0})
    shape: tuple[int, int] = field(
        default=(1200, 1920),
        metadata={"doc": "Height and width, pixels.", "ge": 64, "le": 8192},
    )
    um_per_px: float = field(
        default=0.5, metadata={"doc": "Microns per pixel.", "ge": 0.1, "le": 10.0}
    )
    cellularity: float = field(
        default=0.6,
        metadata={"doc": "Share of the marrow space that is not fat, 0-1.", "ge": 0.05, "le": 1.0},
    )
    fat_diameter: float = field(
        default=58.0, metadata={"doc": "Mean adipocyte diameter, um.", "ge": 20.0, "le": 120.0}
    )
    wall: float = field(
        default=1.6,
        metadata={"doc": "Tissue between touching adipocytes, um.", "ge": 0.5, "le": 5.0},
    )
    broken: float = field(
        default=0.05, metadata={"doc": "Share of membranes torn open, 0-1.", "ge": 0.0, "le": 1.0}
    )
    stained_fat: float = field(
        default=0.1,
        metadata={
            "doc": "Share of adipocytes with haze or pink content, 0-1.",
            "ge": 0.0,
            "le": 1.0,
        },
    )
    folds: float = field(
        default=0.1,
        metadata={"doc": "Share of adipocytes with folds or debris, 0-1.", "ge": 0.0, "le": 1.0},
    )
    bone: float = field(
        default=0.0, metadata={"doc": "Share of the field that is bone.", "ge": 0.0, "le": 0.8}
    )
    bone_eosin: float = field(
        default=1.0,
        metadata={"doc": "Eosin of bone relative to cytoplasm.", "ge": 0.3, "le": 2.0},
    )
    retraction: float = field(
        default=0.2,
        metadata={"doc": "Share of the bone surface with a gap beside it.", "ge": 0.0, "le": 1.0},
    )
    edge: float = field(
        default=0.0, metadata={"doc": "Share of the field off the tissue.", "ge": 0.0, "le": 0.7}
    )
    tears: float = field(
        default=0.005, metadata={"doc": "Share of the field torn open.", "ge": 0.0, "le": 0.2}
    )
    sinusoids: float = field(
        default=0.015, metadata={"doc": "Share of the field, sinus lumens.", "ge": 0.0, "le": 0.3}
    )
    blood: float = field(
        default=0.05, metadata={"doc": "Share of tissue: lakes of blood.", "ge": 0.0, "le": 0.8}
    )
    honeycomb: float = field(
        default=0.2,
        metadata={"doc": "Share of tissue: loose red cells, white between.", "ge": 0.0, "le": 0.9},
    )
    stroma: float = field(
        default=0.08,
        metadata={"doc": "Share of tissue: fibrous or oedematous.", "ge": 0.0, "le": 0.9},
    )
    clefts: float = field(
        default=0.02,
        metadata={"doc": "Share of tissue: small white clefts.", "ge": 0.0, "le": 0.15},
    )
    pleats: int = field(
        default=0,
        metadata={"doc": "Dark bands, the section folded on itself.", "ge": 0, "le": 50},
    )
    haematoxylin: float = field(
        default=1.0, metadata={"doc": "Strength of haematoxylin.", "ge": 0.3, "le": 2.0}
    )
    eosin: float = field(default=1.0, metadata={"doc": "Strength of eosin.", "ge": 0.3, "le": 2.0})
    eosin_warmth: float = field(
        default=0.42,
        metadata={"doc": "Blue absorbed by eosin: 0.1 magenta, 0.6 salmon.", "ge": 0.0, "le": 0.8},
    )
    white: tuple[int, int, int] = field(
        default=(236, 230, 238),
        metadata={"doc": "RGB of the empty slide, 0-255.", "ge": 0, "le": 255},
    )
    illumination: float = field(
        default=0.03, metadata={"doc": "Fall of light across the field, 0-1.", "ge": 0.0, "le": 0.4}
    )
    blur: float = field(
        default=0.6, metadata={"doc": "Blur of the optics, standard deviation, px.", "ge": 0.0}
    )
    noise: float = field(
        default=1.0, metadata={"doc": "Sensor noise, standard deviation, grey levels.", "ge": 0.0}
    )
    jpeg: int = field(
        default=0, metadata={"doc": "JPEG quality passed through, 0 for none.", "ge": 0, "le": 100}
    )

    def __post_init__(self) -> None:
        check_bounds(self)


_DEMO: tuple[dict[str, Any], ...] = (
    # Everyday field at 20x: half fat, two trabeculae, a lake of blood.
    {"um_per_px": 0.5, "cellularity": 0.55, "bone": 0.18, "blood": 0.1, "haematoxylin": 1.0},
    # 40x, much like the public fields: tissue rich in cells, clean lumens.
    {
        "um_per_px": 0.25,
        "cellularity": 0.72,
        "honeycomb": 0.35,
        "sinusoids": 0.03,
        "stained_fat": 0.15,
    },
    # 10x core at the edge of the section, bone crossing it, pale stain.
    {
        "um_per_px": 1.0,
        "cellularity": 0.45,
        "bone": 0.16,
        "edge": 0.14,
        "tears": 0.012,
        "haematoxylin": 0.75,
        "eosin": 0.7,
        "white": (243, 242, 240),
        "illumination": 0.06,
    },
    # Old fatty marrow with folded and stained adipocytes.
    {
        "um_per_px": 0.5,
        "cellularity": 0.25,
        "stained_fat": 0.5,
        "folds": 0.5,
        "broken": 0.12,
        "wall": 1.2,
        "haematoxylin": 1.1,
        "eosin_warmth": 0.3,
        "white": (228, 224, 234),
        "jpeg": 85,
    },
    # Overview of a core: trabeculae, slide, haemorrhage.
    {
        "um_per_px": 2.5,
        "cellularity": 0.5,
        "bone": 0.2,
        "edge": 0.08,
        "tears": 0.01,
        "blood": 0.12,
        "eosin": 1.2,
        "haematoxylin": 1.15,
        "white": (240, 238, 233),
        "noise": 1.8,
    },
    # High magnification, bone in nearly half of the field, dark purple stain.
    {
        "um_per_px": 0.3,
        "cellularity": 0.8,
        "bone": 0.45,
        "retraction": 0.4,
        "haematoxylin": 1.3,
        "eosin": 0.95,
        "eosin_warmth": 0.25,
        "white": (232, 233, 240),
        "blur": 0.9,
    },
)

_WHITES = (
    (236, 230, 238),
    (246, 246, 246),
    (228, 226, 238),
    (244, 241, 230),
    (222, 222, 224),
    (214, 212, 220),
    (248, 245, 249),
    (236, 240, 246),
)


def phantom_set(
    count: int, shape: tuple[int, int] = (1200, 1920), seed: int = 0
) -> tuple[PhantomSettings, ...]:
    """Settings that cover magnification, stain and contents between them.

    The first six are hand-made (the demonstration); from the seventh on every
    property runs through its range in its own low-discrepancy order. A longer set starts with
    the shorter one.

    Parameters
    ----------
    count : int
        How many.
    shape : (int, int)
        Height and width of each, pixels.
    seed : int
        Another seed gives other fields of the same kinds.

    Returns
    -------
    tuple of PhantomSettings

    Examples
    --------
    >>> phantom_set(40)[:6] == phantom_set(6)
    True
    """
    return tuple(_member(index, shape, seed) for index in range(count))


def _member(index: int, shape: tuple[int, int], seed: int) -> PhantomSettings:
    own = seed * 100_003 + index
    if index < len(_DEMO):
        return PhantomSettings(seed=own, shape=shape, **_DEMO[index])
    draw = low_discrepancy(index, seed)
    um = round(0.25 * 16.0 ** draw[0], 3)
    values = {**_contents(draw, um), **_appearance(draw)}
    return PhantomSettings(seed=own, shape=shape, um_per_px=um, **values)


def _contents(draw: list[float], um: float) -> dict[str, Any]:
    """What lies in the field; `um` is microns per pixel."""
    # One trabecula fills a field at 40x; an overview holds many but is mostly marrow.
    most_bone = 0.55 if um < 0.6 else 0.3
    return {
        "cellularity": between(draw[1], 0.12, 0.95),
        "fat_diameter": between(draw[2], 45.0, 68.0),
        "wall": between(draw[3], 0.9, 3.0),
        "broken": sometimes(draw[4], 0.6, 0.02, 0.2),
        "stained_fat": sometimes(draw[5], 0.75, 0.05, 0.6),
        "folds": sometimes(draw[6], 0.6, 0.05, 0.6),
        "bone": sometimes(draw[7], 0.6, 0.08, most_bone),
        "bone_eosin": between(draw[8], 0.6, 1.3),
        "retraction": sometimes(draw[9], 0.7, 0.1, 0.6),
        "edge": sometimes(draw[10], 0.4, 0.05, 0.35),
        "tears": sometimes(draw[11], 0.5, 0.004, 0.03),
        "sinusoids": between(draw[12], 0.008, 0.06),
        "blood": sometimes(draw[13], 0.55, 0.05, 0.35),
        "honeycomb": between(draw[14], 0.05, 0.45),
        "stroma": between(draw[15], 0.02, 0.3),
        "clefts": between(draw[16], 0.005, 0.04),
        "pleats": int(sometimes(draw[26], 0.3, 1.0, 4.0)),
    }


def _appearance(draw: list[float]) -> dict[str, Any]:
    """How it was stained, illuminated and scanned."""
    level = between(draw[17], 206, 248)
    tint = _WHITES[int(draw[18] * len(_WHITES))]
    red, green, blue = (round(min(252.0, level * c / max(tint))) for c in tint)
    return {
        "haematoxylin": between(draw[19], 0.65, 1.45),
        "eosin": between(draw[20], 0.6, 1.35),
        "eosin_warmth": between(draw[21], 0.2, 0.6),
        "white": (red, green, blue),
        "illumination": between(draw[22], 0.0, 0.1),
        "blur": between(draw[23], 0.4, 1.3),
        "noise": between(draw[24], 0.3, 2.5),
        "jpeg": 0 if draw[25] < 0.5 else int(between(draw[25], 40, 100)),
    }
