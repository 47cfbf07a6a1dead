"""The kinds of drawn fields: what is laid on the sheet, in what order, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from annotator.core.classes import BG
from annotator.synthetic.noise import Mask, Rng
from annotator.synthetic.outlines import (
    bands,
    blobs,
    core_outline,
    ragged_edge,
    roughen,
    splinters,
    split_by_area,
    strand,
)
from annotator.synthetic.tissue_adipose import lay_adipose, tear_to_shreds
from annotator.synthetic.tissue_blood import add_vessels, lay_blood, lay_marrow
from annotator.synthetic.tissue_bone import lay_bone, lay_calcified_bone
from annotator.synthetic.tissue_cartilage import lay_cartilage
from annotator.synthetic.tissue_connective import lay_dense, lay_loose, lay_septum
from annotator.synthetic.tissue_debris import add_crumbs
from annotator.synthetic.tissue_sheet import Lay, TissueSheet

_SOFT: tuple[Lay, ...] = (lay_dense, lay_loose, lay_marrow, lay_blood, lay_adipose)
# How often each soft tissue is met: anywhere, beside bone, beside bone on slide, in torn fat, in
# a core.
_ANYWHERE = (0.25, 0.25, 0.35, 0.05, 0.1)
_BESIDE_BONE = (0.2, 0.2, 0.35, 0.0, 0.25)
_ON_SLIDE = (0.4, 0.4, 0.1, 0.1, 0.0)
_IN_FAT = (0.4, 0.3, 0.0, 0.3, 0.0)
_IN_CORE = (0.2, 0.25, 0.25, 0.1, 0.2)

_SMALLEST_GAP = 60.0  # square microns


def lay_kind(rng: Rng, sheet: TissueSheet, kind: str) -> None:
    """Lay all that a field of one kind shows.

    Parameters
    ----------
    rng : numpy.random.Generator
    sheet : TissueSheet
        An empty one.
    kind : str
        One of :data:`annotator.synthetic.tissue_settings.SCALES`.
    """
    _KINDS[kind](rng, sheet)


def _lay_soft(
    rng: Rng, sheet: TissueSheet, mask: Mask, often: tuple[float, ...] = _ANYWHERE
) -> None:
    _SOFT[int(rng.choice(len(_SOFT), p=often))](rng, sheet, mask)


def _patch(rng: Rng, sheet: TissueSheet, low: float, high: float, size: float) -> Mask:
    """Patches of about `size` um on a random share of the frame."""
    return blobs(rng, sheet.shape, sheet.um, rng.uniform(low, high), size)


def _cut_edge(
    rng: Rng, sheet: TissueSheet, low: float, high: float, roughness: float = 0.8
) -> Mask:
    """Cut a random share of the frame off the tissue; return what was cut."""
    off = ragged_edge(rng, sheet.shape, sheet.um, rng.uniform(low, high), roughness)
    sheet.cut(off)
    return off


def _bands(
    rng: Rng, sheet: TissueSheet, most: int, narrow: float, wide: float, least: int = 1
) -> Mask:
    """Bands of a half width in um that grows with the scale: an overview shows no thin ones."""
    half = (narrow + 4 * sheet.um, wide + 11 * sheet.um)
    return bands(rng, sheet.shape, sheet.um, int(rng.integers(least, most + 1)), half)


def _adipose(rng: Rng, sheet: TissueSheet) -> None:
    """Crowded adipocytes, some with vessels, septa, or the edge of the tissue."""
    lay_adipose(rng, sheet, sheet.everywhere)
    add_vessels(rng, sheet, sheet.everywhere, int(rng.choice([0, 0, 1, 3, 5])))
    if rng.random() < 0.35:
        _lay_septa(rng, sheet)
    if rng.random() < 0.2:
        _cut_edge(rng, sheet, 0.05, 0.5)


def _lay_septa(rng: Rng, sheet: TissueSheet) -> None:
    """One or two septa of collagen, here and there with a gap beside them."""
    for _ in range(int(rng.integers(1, 3))):
        septum = strand(rng, sheet.shape, sheet.um, rng.uniform(3, 26))
        beside = (sheet.depth(~septum) < rng.uniform(0, 8)) & ~septum
        gap = beside & (sheet.noise(rng, 100) > 0)
        sheet.cut(gap)
        sheet.doubt(gap)
        lay_septum(rng, sheet, septum)


def _torn_adipose(rng: Rng, sheet: TissueSheet) -> None:
    """Adipocytes torn open, with slide, blood and other tissue between them."""
    lay_adipose(rng, sheet, sheet.everywhere, opened=rng.uniform(0.05, 0.35))
    tears = split_by_area(_patch(rng, sheet, 0.05, 0.4, 160), 400 / sheet.um**2)[0]
    if rng.random() < 0.6:
        tear_to_shreds(rng, sheet, tears)
    else:
        sheet.cut(tears)
    _lay_soft(rng, sheet, _patch(rng, sheet, 0.05, 0.3, 110), _IN_FAT)
    if rng.random() < 0.6:
        _lay_septa(rng, sheet)
    add_vessels(rng, sheet, sheet.codes != BG, 5)
    add_crumbs(rng, sheet, int(rng.integers(0, 20)))


def _bone(rng: Rng, sheet: TissueSheet) -> None:
    """One plate of bone that fills the field, at times with clefts."""
    lay_bone(rng, sheet, sheet.everywhere)
    for _ in range(int(rng.choice([0, 1, 2]))):
        cleft = bands(rng, sheet.shape, sheet.um, 1, (12 + 3 * sheet.um, 60 + 6 * sheet.um))
        sheet.cut(cleft)
        inner = cleft & (sheet.depth(cleft) > rng.uniform(1, 14))
        _lay_soft(rng, sheet, inner & (sheet.noise(rng, 90) > rng.uniform(-1.5, 1)))


def _bone_on_slide(rng: Rng, sheet: TissueSheet) -> None:
    """Bone beside empty slide, with nothing else or a shred of tissue along it."""
    lay_bone(rng, sheet, sheet.everywhere)
    off = _cut_edge(rng, sheet, 0.1, 0.8, rng.uniform(0.2, 1.0))
    if rng.random() < 0.4:
        _cut_edge(rng, sheet, 0.1, 0.4, rng.uniform(0.2, 1.0))
    if rng.random() < 0.5:
        along = off & (sheet.depth(off) < rng.uniform(3, 30))
        shred = along & (sheet.noise(rng, 80) > rng.uniform(-0.5, 1))
        _lay_soft(rng, sheet, shred, _ON_SLIDE)
    add_crumbs(rng, sheet, int(rng.choice([0, 3, 15])))


def _trabeculae_on_slide(rng: Rng, sheet: TissueSheet) -> None:
    """Trabeculae on empty slide, some in a thin coat of tissue."""
    bone = _bands(rng, sheet, 4, 40, 130)
    if rng.random() < 0.5:
        coat = sheet.depth(~bone) < rng.uniform(4, 60)
        coat = roughen(rng, coat, sheet.um, 8) & (sheet.noise(rng, 110) > rng.uniform(-1, 1))
        _lay_soft(rng, sheet, coat)
    lay_bone(rng, sheet, bone)
    add_crumbs(rng, sheet, int(rng.choice([0, 3, 15])))


def _bone_fragments(rng: Rng, sheet: TissueSheet) -> None:
    """A heap of splinters of bone and cartilage in shreds of tissue, on slide."""
    heap = _patch(rng, sheet, 0.15, 0.7, 260)
    size = rng.uniform(50, 150) + 8 * sheet.um
    pieces = splinters(rng, sheet.shape, sheet.um, rng.uniform(0.3, 0.7), size) & heap
    if rng.random() < 0.75:
        _lay_soft(rng, sheet, heap & _patch(rng, sheet, 0.6, 0.8, 70))
    if rng.random() < 0.3:
        part = pieces & _patch(rng, sheet, 0.2, 0.4, 200)
        lay_cartilage(rng, sheet, part)
        pieces &= ~part
    lay_bone(rng, sheet, pieces)
    add_crumbs(rng, sheet, int(rng.choice([3, 15, 40])))


def _bone_in_tissue(rng: Rng, sheet: TissueSheet) -> None:
    """Trabeculae in soft tissue, with clefts along them."""
    _lay_soft(rng, sheet, sheet.everywhere, _BESIDE_BONE)
    if rng.random() < 0.5:
        _lay_soft(rng, sheet, _patch(rng, sheet, 0.1, 0.5, 200))
    banded = rng.random() < 0.6
    bone = _bands(rng, sheet, 4, 30, 110) if banded else _patch(rng, sheet, 0.2, 0.6, 350)
    width = np.clip(sheet.noise(rng, 120), 0, 2) * np.float32(rng.uniform(2, 30))
    gap = (sheet.depth(~bone) < width) & ~bone
    sheet.cut(split_by_area(gap, _SMALLEST_GAP / sheet.um**2)[0])
    lay_bone(rng, sheet, bone)
    if rng.random() < 0.35:
        _cut_edge(rng, sheet, 0.05, 0.5)


def _cartilage(rng: Rng, sheet: TissueSheet) -> None:
    """Cartilage by itself, beside bone or calcified bone, or beside soft tissue."""
    lay_cartilage(rng, sheet, sheet.everywhere)
    lot = rng.random()
    if lot < 0.35:
        lay = lay_calcified_bone if rng.random() < 0.6 else lay_bone
        lay(rng, sheet, _patch(rng, sheet, 0.1, 0.5, 220))
    elif lot > 0.6:
        _lay_soft(rng, sheet, _patch(rng, sheet, 0.05, 0.4, 260))
    if rng.random() < 0.35:
        _cut_edge(rng, sheet, 0.05, 0.6, 0.5)
        add_crumbs(rng, sheet, int(rng.choice([0, 5])))


def _calcified_bone(rng: Rng, sheet: TissueSheet) -> None:
    """Calcified bone in all of the field, on slide, or in soft tissue."""
    whole = rng.random() < 0.4
    bone = sheet.everywhere if whole else _patch(rng, sheet, 0.3, 0.8, 250)
    if not whole and rng.random() < 0.7:
        _lay_soft(rng, sheet, ~bone)
    lay_calcified_bone(rng, sheet, bone)


def _fibrous_tissue(rng: Rng, sheet: TissueSheet) -> None:
    """Dense collagen, with looser patches, vessels, bone, or the edge of the tissue."""
    lay_dense(rng, sheet, sheet.everywhere)
    if rng.random() < 0.5:
        lay_loose(rng, sheet, _patch(rng, sheet, 0.1, 0.6, 220))
    add_vessels(rng, sheet, sheet.everywhere, 3)
    if rng.random() < 0.3:
        lay_bone(rng, sheet, _patch(rng, sheet, 0.05, 0.3, 300))
    if rng.random() < 0.3:
        _cut_edge(rng, sheet, 0.05, 0.7)


def _loose_tissue(rng: Rng, sheet: TissueSheet) -> None:
    """Loose tissue, with denser patches, fat, vessels, bone, or the edge of the tissue."""
    lay_loose(rng, sheet, sheet.everywhere)
    if rng.random() < 0.4:
        lay_dense(rng, sheet, _patch(rng, sheet, 0.05, 0.35, 180))
    if rng.random() < 0.3:
        lay_adipose(rng, sheet, _patch(rng, sheet, 0.05, 0.35, 300))
    add_vessels(rng, sheet, sheet.everywhere, 5)
    if rng.random() < 0.35:
        lay_bone(rng, sheet, _patch(rng, sheet, 0.05, 0.35, 300))
    if rng.random() < 0.5:
        _cut_edge(rng, sheet, 0.1, 0.8)
        add_crumbs(rng, sheet, int(rng.choice([0, 8])))


def _core(rng: Rng, sheet: TissueSheet) -> None:
    """A whole core on slide: marrow, other tissue, trabeculae, cortex or cartilage at one end."""
    core = core_outline(rng, sheet.shape, sheet.um)
    lay_marrow(rng, sheet, core)
    for _ in range(int(rng.integers(0, 3))):
        _lay_soft(rng, sheet, core & _patch(rng, sheet, 0.05, 0.35, 200), _IN_CORE)
    lay_bone(rng, sheet, core & _bands(rng, sheet, 11, 30, 90, least=2))
    if rng.random() < 0.25:
        end = ragged_edge(rng, sheet.shape, sheet.um, rng.uniform(0.05, 0.3))
        (lay_bone if rng.random() < 0.5 else lay_cartilage)(rng, sheet, core & end)
    sheet.cut(core & _patch(rng, sheet, 0.0, 0.1, 130))
    add_crumbs(rng, sheet, int(rng.choice([0, 5, 15])))


def _mixed(rng: Rng, sheet: TissueSheet) -> None:
    """Patches of anything beside each other."""
    _lay_soft(rng, sheet, sheet.everywhere)
    for _ in range(int(rng.integers(1, 4))):
        patch = _patch(rng, sheet, 0.1, 0.4, 260)
        lot = rng.random()
        if lot < 0.3:
            lay_bone(rng, sheet, patch)
        elif lot < 0.4:
            lay_cartilage(rng, sheet, patch)
        elif lot < 0.55:
            sheet.cut(patch)
        else:
            _lay_soft(rng, sheet, patch)
    if rng.random() < 0.4:
        _cut_edge(rng, sheet, 0.1, 0.6)


_KINDS: Mapping[str, Callable[[Rng, TissueSheet], None]] = MappingProxyType(
    {
        "adipose": _adipose,
        "torn adipose": _torn_adipose,
        "bone": _bone,
        "bone on slide": _bone_on_slide,
        "trabeculae on slide": _trabeculae_on_slide,
        "bone fragments": _bone_fragments,
        "bone in tissue": _bone_in_tissue,
        "cartilage": _cartilage,
        "calcified bone": _calcified_bone,
        "fibrous tissue": _fibrous_tissue,
        "loose tissue": _loose_tissue,
        "core": _core,
        "mixed": _mixed,
    }
)
