"""What the segmentation network makes of an object and of its ring.

These columns exist only where there was a network; see
:attr:`annotator.imaging.appearance.Appearance.probabilities`.
"""

from __future__ import annotations

from annotator.core.classes import CLASS_NAMES
from annotator.imaging.appearance import Appearance
from features._means import Mean
from features._planes import Layers
from features.table import Column

_LINE = "network_line"
_NO_RING = "NaN where the object fills the image"

COLUMNS = (
    *(
        Column(f"network_{name}_mean", "1", "0..1", f"Mean probability of {name} by the network.")
        for name in CLASS_NAMES
    ),
    *(
        Column(
            f"ring_network_{name}_mean",
            "1",
            f"0..1, {_NO_RING}",
            f"Mean probability of {name} by the network in the ring.",
        )
        for name in CLASS_NAMES
    ),
    Column(
        f"{_LINE}_mean",
        "1",
        "0..1",
        "Mean probability of a line between adipocytes that touch, by the network.",
    ),
)

MEANS = (
    *(Mean(f"network_{name}_mean", f"network_{name}", "inside") for name in CLASS_NAMES),
    *(Mean(f"ring_network_{name}_mean", f"network_{name}", "ring") for name in CLASS_NAMES),
    Mean(f"{_LINE}_mean", _LINE, "inside"),
)


def network_planes(appearance: Appearance) -> Layers:
    """Planes that :data:`MEANS` are taken from; none where there was no network."""
    if appearance.probabilities is None:
        return {}
    names = (*(f"network_{name}" for name in CLASS_NAMES), _LINE)
    return dict(zip(names, appearance.probabilities, strict=True))
