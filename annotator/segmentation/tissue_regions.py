"""Stained regions: bone as whole trabeculae, the rest as compact superpixels.

Superpixels (SLIC) are merged hierarchically, neighbours of the most alike colour
and texture first. Of the merged regions, those that are large, smooth,
eosinophilic and nearly free of nuclei are kept whole: bone, or what looks like
it. All others fall back into their superpixels.

References
----------
R. Achanta, A. Shaji, K. Smith, A. Lucchi, P. Fua & S. Süsstrunk, "SLIC superpixels compared
to state-of-the-art superpixel methods", IEEE Trans. Pattern Anal. Mach. Intell. 34, 2012.
J. H. Ward, "Hierarchical grouping to optimize an objective function", J. Am. Stat. Assoc. 58,
1963.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from scipy.sparse import coo_matrix

from annotator.core.objects import BoolMask
from annotator.imaging.stains import BY_RED_LIGHT, nuclear_mask
from annotator.imaging.white import LabPlanes, blurred

# Regions below this are no trabecula, um2.
_SMALLEST = 2000.0
# CIELAB distance from its mean up to which a pixel has a region's own colour.
_OWN_COLOUR = 10.0
# A calm neighbourhood has less than this share of the busyness of busy tissue.
_CALM = 0.4

Labels = NDArray[np.int32]
Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stain:
    """What the tissue looks like, on a grid of about 1 um.

    Parameters
    ----------
    lab : (h, w, 3) float32
        Mean CIELAB.
    nuclear : (h, w) float32
        Share of the pixels as dark in red light as nuclei are, 0..1.
    busy : (h, w) float32
        Mean deviation of the density of red light from its surroundings, OD.
    white : (h, w) float32
        Share of the pixels that are no tissue, 0..1.
    um : float
        Microns per pixel of this grid.
    """

    lab: Plane
    nuclear: Plane
    busy: Plane
    white: Plane
    um: float


def stain_planes(lab: LabPlanes, density: Plane, white: BoolMask, um_per_px: float) -> Stain:
    """Average the stain on a coarse grid, texture measured before averaging.

    Parameters
    ----------
    lab : tuple of three (H, W) float32
        L*, a* and b*, see :attr:`annotator.imaging.appearance.Appearance.lab`.
    density : (H, W) float32
        Of red light, OD, see :func:`annotator.imaging.stains.red_density`.
    white : (H, W) bool
        What is no tissue.
    um_per_px : float
        Known or guessed.

    Returns
    -------
    Stain
        On a grid of 1 um or coarser; never finer than the image.

    Examples
    --------
    >>> grey, density = np.full((40, 60), 60, np.float32), np.full((40, 60), 0.2, np.float32)
    >>> stain = stain_planes((grey, grey, grey), density, np.zeros((40, 60), bool), 0.5)
    >>> stain.um, stain.lab.shape, float(stain.nuclear.max())
    (1.0, (20, 30, 3), 0.0)
    """
    height, width = density.shape
    # At most 400,000 pixels, so that time and memory stay the same for large images.
    step = max(1.0, 1.0 / um_per_px, (height * width / 400_000) ** 0.5)
    size = (max(1, round(width / step)), max(1, round(height / step)))

    # What is left of the density when its mean over some 4 um is taken off is texture.
    smooth = np.asarray(cv2.GaussianBlur(density, (0, 0), max(0.7, 0.5 / um_per_px)), np.float32)
    wide = cv2.GaussianBlur(smooth, (0, 0), max(2.0, 4.0 / um_per_px))
    busy = np.abs(smooth - wide)
    dark = nuclear_mask(smooth, ~white, BY_RED_LIGHT)

    def shrink(plane: NDArray[Any]) -> Plane:
        as_float = plane.astype(np.float32)
        return np.asarray(cv2.resize(as_float, size, interpolation=cv2.INTER_AREA), np.float32)

    return Stain(
        np.dstack([shrink(plane) for plane in lab]),
        shrink(dark),
        shrink(busy),
        shrink(white),
        um_per_px * step,
    )


def tissue_regions(stain: Stain, shape: tuple[int, int]) -> tuple[Labels, Labels]:
    """Cut the stained part into bone-like regions and compact superpixels.

    Parameters
    ----------
    stain : Stain
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    smooth, compact : (H, W) int32
        Labels of the large smooth regions, and of the superpixels outside them;
        0 elsewhere.

    Examples
    --------
    Plain pink without a nucleus is one region that looks like bone.

    >>> planes = [np.full((100, 120), value, np.float32) for value in (70, 30, -10)]
    >>> flat, none = np.zeros((100, 120), np.float32), np.zeros((100, 120), bool)
    >>> smooth, compact = tissue_regions(stain_planes(tuple(planes), flat, none, 1.0), (100, 120))
    >>> int(smooth.max()), int(compact.max())
    (1, 0)
    """
    from skimage.segmentation import slic

    tissue = stain.white < 0.5
    if np.count_nonzero(tissue) < 16:
        return np.zeros(shape, np.int32), np.zeros(shape, np.int32)

    # Superpixels of 20 um, about two cells wide, and 600 of them at most. Blurred nuclei are
    # a fourth channel: where they begin, the marrow begins.
    area = stain.white.size
    spacing = max(20.0 / stain.um, (area / 600) ** 0.5)
    segments = slic(
        np.dstack([stain.lab, 40 * cv2.GaussianBlur(stain.nuclear, (0, 0), 4 / stain.um)]),
        n_segments=max(4, round(area / spacing**2)),
        compactness=0.08,
        mask=None,
        start_label=1,
        channel_axis=-1,
        convert2lab=False,
        enforce_connectivity=True,
    ).astype(np.int32)

    # The grid of superpixels runs over white as well; what lies there is taken out again.
    segments[~tissue] = 0
    smooth = _smooth_regions(segments, stain)
    segments[smooth > 0] = 0
    return enlarge(smooth, shape), enlarge(segments, shape)


def _smooth_regions(segments: Labels, stain: Stain) -> Labels:
    """Merged superpixels that are large, smooth and nearly without nuclei; (h, w) int32."""
    # Only calm superpixels may merge: one that straddles the edge would lead out of the bone.
    calm = calm_tissue(stain)
    share = _mean_of(calm, segments)
    merged = _merge_alike(np.where(share[segments] > 0.5, segments, 0), stain)

    # Half the area is enough here: the next step takes in what continues outside.
    area = np.bincount(merged.ravel()) * stain.um**2
    keep = (_mean_of(calm, merged) > 0.6) & (area > _SMALLEST / 2)
    mask = _alike(np.where(keep[merged], merged, 0).astype(np.int32), stain)

    radius = max(1, round(4 / stain.um))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Lacunae and specks of white in bone are closed before thin bridges are opened.
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disk)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, disk, borderType=cv2.BORDER_REPLICATE)

    # What falls apart now is judged piece by piece.
    labels, count = ndi.label(opened.astype(bool) & (stain.white < 0.5))
    big = np.bincount(labels.ravel(), minlength=count + 1) * stain.um**2 > _SMALLEST
    big[0] = False
    result: Labels = np.where(big[labels], labels, 0).astype(np.int32)
    return result


def _alike(regions: Labels, stain: Stain) -> BoolMask:
    """Pixels in and up to 12 um around regions that have the region's own colour.

    Superpixels straddle the edge of a trabecula: what differs inside goes, what
    continues outside comes in.
    """
    if not regions.any():
        return np.zeros(regions.shape, np.bool_)
    distance, (iy, ix) = ndi.distance_transform_edt(regions == 0, return_indices=True)
    nearest = regions[iy, ix]

    # Squared CIELAB distance of each pixel, smoothed over 1 um, from its nearest region's mean.
    off = np.zeros(regions.shape)
    for channel in range(3):
        plane = stain.lab[..., channel]
        off += (blurred(plane, max(0.7, 1 / stain.um)) - _mean_of(plane, regions)[nearest]) ** 2

    # Outside a region its colour is not enough: cytoplasm may have it, and is busy.
    calm = blurred(stain.busy, max(0.7, 1 / stain.um)) < 2 * _calm_limit(stain)
    near = distance * stain.um <= 12.0
    return np.asarray(near & (off < _OWN_COLOUR**2) & (calm | (regions > 0)) & (stain.white < 0.5))


def _mean_of(plane: NDArray[Any], labels: Labels) -> NDArray[np.float64]:
    """Mean of a plane over each label; 0 for label 0 and for labels that do not occur."""
    total = np.bincount(labels.ravel(), plane.ravel().astype(np.float64))
    mean = total / np.maximum(np.bincount(labels.ravel()), 1)
    mean[0] = 0.0
    return mean


def calm_tissue(stain: Stain) -> BoolMask:
    """Stained pixels in a neighbourhood nearly free of nuclei and much less busy than most tissue.

    Parameters
    ----------
    stain : Stain
        Planes of (H, W) pixels of about 1 um.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    Busy marrow with a calm piece on the left, as bone is.

    >>> busy = np.full((20, 40), 0.1, np.float32)
    >>> busy[:, :15] = 0.0
    >>> none = np.zeros((20, 40), np.float32)
    >>> calm = calm_tissue(Stain(np.zeros((20, 40, 3), np.float32), none, busy, none, 1.0))
    >>> calm[10, [2, 30]].tolist()
    [True, False]
    """
    tissue = stain.white < 0.5
    if not tissue.any():
        return tissue
    # Means over some 3 um of tissue alone: blurred planes over the blurred mask of tissue, so
    # that white beside it does not calm it.
    weight = blurred(tissue.astype(np.float32), max(1.0, 3 / stain.um))
    near = {
        name: blurred(np.where(tissue, plane, 0), max(1.0, 3 / stain.um)) / np.maximum(weight, 0.05)
        for name, plane in (("busy", stain.busy), ("nuclear", stain.nuclear))
    }
    return np.asarray(tissue & (near["busy"] < _calm_limit(stain)) & (near["nuclear"] < 0.08))


def _calm_limit(stain: Stain) -> float:
    """Busyness below which tissue is calm, OD: relative to the busier tissue of the image."""
    # Focus and camera change how busy every tissue looks; the bounds hold for a field that is
    # all bone, or has none.
    busier = float(np.quantile(stain.busy[stain.white < 0.5], 0.75))
    return float(np.clip(_CALM * busier, 0.006, 0.03))


def _merge_alike(segments: Labels, stain: Stain) -> Labels:
    """Ward's merging of neighbouring superpixels by colour and texture."""
    from sklearn.cluster import AgglomerativeClustering

    # Labels without gaps, as sklearn counts its samples.
    size = np.bincount(segments.reshape(-1))
    ids = np.flatnonzero(size)
    number = np.cumsum(size > 0) - 1
    at = number[segments]
    has_gap = ids[0] == 0

    def mean(plane: Plane) -> NDArray[np.float64]:
        total = np.bincount(at.reshape(-1), plane.reshape(-1), minlength=len(ids))
        return np.asarray(total / size[ids], np.float64)

    # One unit is about what two superpixels of the same trabecula differ by.
    columns = [mean(stain.lab[..., c]) / 8 for c in range(3)]
    columns.append(mean(stain.nuclear) / 0.08)
    columns.append(mean(stain.busy) / (0.3 * _calm_limit(stain)))
    X = np.stack(columns, axis=1)[1 if has_gap else 0 :]
    n = len(X)
    if n < 2:
        return (segments > 0).astype(np.int32)

    # Ward's criterion is the growth of the variance, here in those units.
    graph = _adjacency(at - (1 if has_gap else 0), n)
    model = AgglomerativeClustering(
        n_clusters=None, distance_threshold=2.5, linkage="ward", connectivity=graph
    )
    groups = model.fit_predict(X) + 1
    table = np.concatenate([[0], groups]) if has_gap else groups
    result: Labels = table[at].astype(np.int32)
    return result


def _adjacency(at: NDArray[np.int64], n: int) -> coo_matrix:
    """Symmetric adjacency of labels 0..n-1; negative labels are no region.

    A chain through all of them, in order, keeps the graph connected.
    """
    pairs = []
    for a, b in ((at[:, :-1], at[:, 1:]), (at[:-1], at[1:])):
        touch = (a != b) & (a >= 0) & (b >= 0)
        pairs.append(np.stack([a[touch], b[touch]], axis=1))

    # sklearn warns and completes a graph in several parts by distances; one edge from part to
    # part, in order, says the same once and for all.
    edge = np.unique(np.concatenate(pairs), axis=0)
    count, part = _components(edge, n)
    first = np.array([np.flatnonzero(part == c)[0] for c in range(count)])
    edge = np.concatenate([edge, np.stack([first[:-1], first[1:]], axis=1)])
    rows, cols = np.concatenate([edge, edge[:, ::-1]]).T
    return coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(n, n)).tocsr()


def _components(edge: NDArray[np.int64], n: int) -> tuple[int, NDArray[np.int32]]:
    """How many connected parts a graph of n nodes has, and the part of each node, (n,)."""
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(edge)), (edge[:, 0], edge[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)  # type: ignore[no-any-return]


def enlarge(labels: Labels, shape: tuple[int, int]) -> Labels:
    """Stretch a label map to a larger shape, nearest pixel.

    Parameters
    ----------
    labels : (h, w) int32
        Below 2 ** 24: OpenCV resizes floats, and float32 holds whole numbers up to there.
    shape : (int, int)
        Height and width of the result.

    Returns
    -------
    (H, W) int32

    Examples
    --------
    >>> enlarge(np.array([[1, 2]], np.int32), (2, 4)).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    big = cv2.resize(
        labels.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST
    )
    return big.astype(np.int32)
