"""The settings of a drawn field of tissue, and a set of them that covers what cores hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from annotator.settings.bounds import check_bounds
from annotator.synthetic.draws import between, low_discrepancy, sometimes
from annotator.synthetic.settings import PhantomSettings

SCALES = MappingProxyType(
    {
        "adipose": (0.25, 5.0),
        "torn adipose": (0.25, 3.0),
        "bone": (0.25, 3.0),
        "bone on slide": (0.25, 4.0),
        "trabeculae on slide": (0.25, 6.0),
        "bone fragments": (0.25, 5.0),
        "bone in tissue": (0.25, 8.0),
        "cartilage": (0.25, 2.5),
        "calcified bone": (0.25, 3.0),
        "fibrous tissue": (0.25, 4.0),
        "loose tissue": (0.25, 4.0),
        "core": (1.2, 10.0),
        "mixed": (0.25, 8.0),
    }
)
"""Kinds of drawn fields, and the microns per pixel between which a set draws them."""

# The order in which a set takes the kinds, again and again.
_ORDER = (
    "adipose", "bone", "cartilage", "loose tissue", "core", "bone on slide", "torn adipose",
    "fibrous tissue", "bone fragments", "bone in tissue", "mixed", "adipose",
    "trabeculae on slide", "core", "calcified bone", "bone", "loose tissue", "cartilage",
    "bone in tissue", "fibrous tissue",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TissueSettings:
    """One drawn field of tissue: what it shows, how it was stained and scanned.

    What lies where, and how strongly each piece stains, follows from kind and seed.

    Raises
    ------
    SettingsError
        When a value is out of its range.

    Examples
    --------
    >>> TissueSettings(kind="core", um_per_px=6.0).shape
    (500, 800)
    """

    seed: int = field(default=0, metadata={"doc": "Seed of every random stream.", "ge": 0})
    shape: tuple[int, int] = field(
        default=(500, 800),
        metadata={"doc": "Height and width, pixels.", "ge": 64, "le": 8192},
    )
    um_per_px: float = field(
        default=0.5, metadata={"doc": "Microns per pixel.", "ge": 0.1, "le": 10.0}
    )
    kind: str = field(
        default="mixed", metadata={"doc": "What the field shows.", "choices": tuple(SCALES)}
    )
    printed: int = field(
        default=0, metadata={"doc": "Printed labels over the picture.", "ge": 0, "le": 200}
    )
    film: float = field(
        default=0.0, metadata={"doc": "Film and dust on the glass.", "ge": 0.0, "le": 2.0}
    )
    haematoxylin: float = field(
        default=1.0, metadata={"doc": "Strength of haematoxylin.", "ge": 0.3, "le": 2.0}
    )
    eosin: float = field(default=1.0, metadata={"doc": "Strength of eosin.", "ge": 0.3, "le": 2.0})
    eosin_warmth: float = field(
        default=0.6,
        metadata={"doc": "Blue absorbed by eosin: 0.1 magenta, 0.6 salmon.", "ge": 0.0, "le": 0.8},
    )
    white: tuple[int, int, int] = field(
        default=(245, 244, 245),
        metadata={"doc": "RGB of the empty slide, 0-255.", "ge": 0, "le": 255},
    )
    illumination: float = field(
        default=0.02, metadata={"doc": "Fall of light across the field, 0-1.", "ge": 0.0, "le": 0.4}
    )
    blur: float = field(
        default=0.6, metadata={"doc": "Blur of the optics, standard deviation, px.", "ge": 0.0}
    )
    sharpening: float = field(
        default=0.0, metadata={"doc": "How far the scanner sharpens edges.", "ge": 0.0, "le": 2.0}
    )
    noise: float = field(
        default=1.0, metadata={"doc": "Sensor noise, standard deviation, grey levels.", "ge": 0.0}
    )
    jpeg: int = field(
        default=0, metadata={"doc": "JPEG quality passed through, 0 for none.", "ge": 0, "le": 100}
    )
    pleats: int = field(
        default=0,
        metadata={"doc": "Dark bands, the section folded on itself.", "ge": 0, "le": 50},
    )

    def __post_init__(self) -> None:
        check_bounds(self)

    def photography(self) -> PhantomSettings:
        """The part that :func:`annotator.synthetic.optics.photograph` reads."""
        return PhantomSettings(
            shape=self.shape,
            um_per_px=self.um_per_px,
            haematoxylin=self.haematoxylin,
            eosin=self.eosin,
            eosin_warmth=self.eosin_warmth,
            white=self.white,
            illumination=self.illumination,
            blur=self.blur,
            noise=self.noise,
            jpeg=self.jpeg,
            pleats=self.pleats,
        )


def tissue_set(
    count: int, shape: tuple[int, int] = (500, 800), seed: int = 0
) -> tuple[TissueSettings, ...]:
    """Settings that cover kinds of tissue, magnification, stain and scanner between them.

    The kinds come in a fixed order again and again; every other property runs through its range
    in its own low-discrepancy order. A longer set starts with the shorter one.

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
    tuple of TissueSettings

    Examples
    --------
    >>> tissue_set(40)[:6] == tissue_set(6)
    True
    """
    return tuple(_member(index, shape, seed) for index in range(count))


def _member(index: int, shape: tuple[int, int], seed: int) -> TissueSettings:
    kind = _ORDER[index % len(_ORDER)]
    draw = low_discrepancy(index, seed)
    low, high = SCALES[kind]
    # Half of the fields lie in the lower third of the (logarithmic) range.
    um = round(low * (high / low) ** (draw[0] ** 1.6), 2)
    return TissueSettings(
        seed=seed * 100_003 + index,
        shape=shape,
        um_per_px=um,
        kind=kind,
        printed=int(sometimes(draw[1], 0.1, 3, 40)),
        film=sometimes(draw[2], 0.5, 0.1, 1.0),
        haematoxylin=between(draw[3], 0.6, 1.5),
        eosin=between(draw[4], 0.6, 1.4),
        eosin_warmth=between(draw[5] ** 0.5, 0.25, 0.8),
        white=_white(draw[6], seed, index),
        illumination=between(draw[7], 0.0, 0.05),
        blur=between(draw[8], 0.35, 1.1),
        sharpening=sometimes(draw[9], 0.5, 0.3, 1.2),
        noise=between(draw[10], 0.2, 2.0),
        jpeg=int(sometimes(draw[11], 0.5, 45, 96)),
        pleats=int(sometimes(draw[12], 0.15, 1, 3)),
    )


def _white(share: float, seed: int, index: int) -> tuple[int, int, int]:
    """The slide between 225 and 254, slightly tinted."""
    tint = np.random.default_rng([seed, index, 72]).normal(0, 1.6, 3)
    red, green, blue = (int(np.clip(round(225 + 29 * share + t), 220, 255)) for t in tint)
    return red, green, blue
