"""How large adipocytes are and how densely they lie, beside what others have published.

A section shows profiles of cells. Their equivalent diameters are those of discs of the same
area, and smaller on average than the cells themselves, which few sections pass through the
middle: nothing is corrected for that. Where the scale is not known there are no microns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotator.core.arrays import Floats
from annotator.core.intervals import Estimate, PatientBootstrap, over

STEP_UM = 10
"""Width of a bin of the histogram, um."""
LAST_BIN_UM = 150
"""Where the last bin begins, which has no end, um."""
_TAILS = (5.0, 95.0)


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure of the literature, as its abstract gives it.

    Parameters
    ----------
    what : str
        What was measured, in which tissue, of how many.
    mean, deviation : float
        The abstract writes mean ± deviation.
    source : str
        Authors, year, journal and DOI.
    short : str
        Authors and year.
    """

    what: str
    mean: float
    deviation: float
    source: str
    short: str

    @property
    def range(self) -> tuple[float, float]:
        """One deviation below the mean, and one above."""
        return self.mean - self.deviation, self.mean + self.deviation


PUBLISHED_DIAMETER_UM = PublishedFigure(
    "mean size of marrow fat cells, um, over 19 normal femoral heads (autopsies)",
    76.3,
    4.9,
    "Motomura G, Yamamoto T, Miyanishi K, Yamashita A, Sueishi K, Iwamoto Y. Bone marrow "
    "fat-cell enlargement in early steroid-induced osteonecrosis: a histomorphometric study of "
    "autopsy cases. Pathol Res Pract 2005;200:807-811. doi:10.1016/j.prp.2004.10.003",
    "Motomura 2005",
)
PUBLISHED_PER_MM2 = PublishedFigure(
    "adipocytes per mm2 of trephine biopsies without infiltration, of patients with "
    "haematological malignancies",
    164.14,
    54.16,
    "Frączak E, Olbromski M, Piotrowska A, Glatzel-Plucińska N, Dzięgiel P, Dybko J, "
    "Kuliczkowski K, Wróbel T. Bone marrow adipocytes in haematological malignancies. Acta "
    "Histochem 2018;120:22-27. doi:10.1016/j.acthis.2017.10.010",
    "Frączak 2018",
)


@dataclass(frozen=True, slots=True)
class Diameters:
    """Equivalent diameters of the measured adipocytes of one image, um.

    Parameters
    ----------
    n : int
    mean, median : float
    p5, p95 : float
        Percentiles: nine in ten adipocytes lie between them.
    """

    n: int
    mean: float
    median: float
    p5: float
    p95: float


@dataclass(frozen=True, slots=True)
class DiameterBin:
    """Adipocytes from `low` to under `high` um; the last bin has no end."""

    low: int
    high: int | None
    adipocytes: int


@dataclass(frozen=True, slots=True)
class AdipocyteField:
    """The adipocytes of one image of known scale.

    Parameters
    ----------
    patient : str
    count : int
        All of them, also those that are not measured.
    tissue_mm2 : float
        Of the image without its background.
    diameters : (N,) float64
        Of the measured ones, um.
    """

    patient: str
    count: int
    tissue_mm2: float
    diameters: Floats


@dataclass(frozen=True, slots=True)
class AdipocyteSizes:
    """The adipocytes of all images of known scale together.

    Parameters
    ----------
    images, patients : int
        Of known scale.
    count, measured : int
        Adipocytes there, and those of them that are whole and away from bone.
    tissue_mm2 : float
    per_mm2 : Estimate
        All adipocytes over all tissue.
    mean_um : Estimate
        Mean equivalent diameter; every adipocyte has the same weight, so that an image or a
        patient with many has more.
    diameters : Diameters or None
        The same adipocytes without intervals: None where none is measured.
    histogram : tuple of DiameterBin
        Empty where none is measured.
    """

    images: int
    patients: int
    count: int
    measured: int
    tissue_mm2: float
    per_mm2: Estimate
    mean_um: Estimate
    diameters: Diameters | None
    histogram: tuple[DiameterBin, ...]


def equivalent_diameters(areas_px: Sequence[int], um_per_px: float) -> Floats:
    """Diameters of the discs that have these areas, 2 sqrt(A / pi).

    Parameters
    ----------
    areas_px : sequence of int, N
    um_per_px : float

    Returns
    -------
    (N,) float64
        In um.

    Examples
    --------
    >>> equivalent_diameters([314], 0.5).round(2).tolist()
    [10.0]
    """
    return 2 * um_per_px * np.sqrt(np.asarray(areas_px, np.float64) / np.pi)


def tissue_area_mm2(
    areas_pct: Mapping[str, float], shape: tuple[int, int], um_per_px: float
) -> float:
    """Area of all that is not background: fat, cell, bone, and what nobody labelled.

    Parameters
    ----------
    areas_pct : mapping of str to float
        Percent of the image, of ``bg`` at least.
    shape : (int, int)
        Height and width, px.
    um_per_px : float

    Examples
    --------
    >>> tissue_area_mm2({"bg": 75.0}, (2000, 2000), 0.5)
    0.25
    """
    return (100.0 - areas_pct["bg"]) / 100.0 * shape[0] * shape[1] * um_per_px**2 / 1e6


def per_mm2(count: int, tissue: float) -> float | None:
    """Adipocytes per mm2 of tissue; None without tissue.

    Examples
    --------
    >>> per_mm2(30, 0.25), per_mm2(0, 0.0)
    (120.0, None)
    """
    return count / tissue if tissue > 0 else None


def diameters_of(values: Floats) -> Diameters | None:
    """Mean, median and percentiles of diameters, (N,) um; None for none.

    Examples
    --------
    >>> diameters_of(np.array([40.0, 50.0, 90.0]))
    Diameters(n=3, mean=60.0, median=50.0, p5=41.0, p95=86.0)
    """
    if not len(values):
        return None
    p5, p95 = np.percentile(values, _TAILS).tolist()
    return Diameters(len(values), float(values.mean()), float(np.median(values)), p5, p95)


def diameter_histogram(values: Floats) -> tuple[DiameterBin, ...]:
    """Count diameters, (N,) um, in steps of 10 um; empty for none.

    Examples
    --------
    >>> [(one.low, one.adipocytes) for one in diameter_histogram(np.array([0.5, 10.0, 900.0]))
    ...  if one.adipocytes]
    [(0, 1), (10, 1), (150, 1)]
    """
    if not len(values):
        return ()
    lows = range(0, LAST_BIN_UM + STEP_UM, STEP_UM)
    # Rounded first, so that 30 um, computed as 29.999999999999996, is not under 30.
    counts = np.histogram(values.round(9), [*lows, np.inf])[0].tolist()
    return tuple(
        DiameterBin(low, low + STEP_UM if low < LAST_BIN_UM else None, count)
        for low, count in zip(lows, counts, strict=True)
    )


def adipocyte_sizes(fields: Sequence[AdipocyteField]) -> AdipocyteSizes:
    """Put the images of known scale together.

    Intervals are of 95 % by a bootstrap over patients, :mod:`annotator.core.intervals`; there
    are none for one patient, who says nothing of others.

    Parameters
    ----------
    fields : sequence of AdipocyteField
        May be empty.
    """
    values = np.concatenate([np.empty(0), *(one.diameters for one in fields)])
    density, mean, patients = Estimate(None), Estimate(None), 0
    if fields:
        counted = {
            "count": np.array([float(one.count) for one in fields]),
            "tissue": np.array([one.tissue_mm2 for one in fields]),
            "measured": np.array([float(len(one.diameters)) for one in fields]),
            "diameter": np.array([float(one.diameters.sum()) for one in fields]),
        }
        bootstrap = PatientBootstrap(counted, [one.patient for one in fields])
        density = bootstrap.estimate(lambda sums: over(sums["count"], sums["tissue"]))
        mean = bootstrap.estimate(lambda sums: over(sums["diameter"], sums["measured"]))
        patients = bootstrap.patients
    return AdipocyteSizes(
        images=len(fields),
        patients=patients,
        count=sum(one.count for one in fields),
        measured=len(values),
        tissue_mm2=sum(one.tissue_mm2 for one in fields),
        per_mm2=density,
        mean_um=mean,
        diameters=diameters_of(values),
        histogram=diameter_histogram(values),
    )
