"""Which images to send to the expert next, and why. Plain functions over probabilities.

An image gains by the doubtful objects in it (the classifier is unsure of them, or it and the
segmentation network disagree), the more so where these may belong to a class that is rare, by
what of rare classes it adds to the labels so far, and by being unlike the images labelled
already: the next centre of a greedy k-centre (Sener & Savarese 2018, "Active Learning for
Convolutional Neural Networks: A Core-Set Approach"). Images are taken one by one, each as if
those before were labelled, so that a batch does not ask the same question twice. A share is
drawn at random: only such images show where the model errs without doubting itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from active_learning.query.committee import consensus, disagreement
from active_learning.query.reasons import ObjectPool, reasons
from active_learning.seed.kmeans import squared_distances
from active_learning.seed.scaling import fit_scaling
from annotator.core.arrays import Floats
from annotator.core.classes import CLASS_NAMES
from annotator.core.objects import BoolMask
from annotator.settings.learning import COMMITTEE, QuerySettings
from features.network import network_probabilities
from features.table import FeatureTable

# An image most of whose objects are labelled has nothing more to ask.
_DONE = 0.5
# Share of a class below which it counts as no rarer.
_RAREST = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """All objects of a study, as the present model sees them.

    Parameters
    ----------
    table : FeatureTable
        M objects of the labelled and the unlabelled images.
    probabilities : (M, 4) float64
        Calibrated, of bg, fat, cell and bone.
    areas : (M,) float64
        Pixels of each object.
    labelled : (M,) bool
        Whether a person or a corrected mask has said anything of the object.
    """

    table: FeatureTable
    probabilities: Floats
    areas: Floats
    labelled: BoolMask

    def __post_init__(self) -> None:
        m = len(self.table)
        shapes = {"probabilities": (m, len(CLASS_NAMES)), "areas": (m,), "labelled": (m,)}
        for name, want in shapes.items():
            if getattr(self, name).shape != want:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name).shape}")


@dataclass(frozen=True, slots=True)
class SelectedImage:
    """An image to label next.

    Parameters
    ----------
    image_id : str
    score : float
        Expected gain when it was chosen, relative to the other images; NaN for one
        that was drawn at random.
    reasons : tuple of str
        For a person; at least one.
    random : bool
        Whether it was drawn at random.
    """

    image_id: str
    score: float
    reasons: tuple[str, ...]
    random: bool = False


def choose(pool: Pool, count: int, settings: QuerySettings) -> tuple[SelectedImage, ...]:
    """Choose the images whose labels are likely to help most, best first.

    Parameters
    ----------
    pool : Pool
    count : int
        How many at most; images most of whose objects are labelled are never chosen.
    settings : QuerySettings

    Returns
    -------
    tuple of SelectedImage
        Those drawn at random come last. The same pool and settings give the same
        choice, in whatever order the objects come.

    Raises
    ------
    ValueError
        When `count` is less than 1.
    """
    if count < 1:
        raise ValueError(f"expected a count of 1 or more, got {count}")
    images, image = np.unique(pool.table.image_ids, return_inverse=True)
    if not len(images):
        return ()
    summary = _summarise(pool, image, len(images), settings)
    free = np.flatnonzero(~summary.done)
    count = min(count, len(free))
    # Drawn first, from all free images: what the greedy choice leaves would be no fair sample.
    drawn = _draw(free, _random_count(count, settings), settings.random_state)
    chosen = _greedy(summary, np.setdiff1d(free, drawn), count - len(drawn), settings)
    objects = ObjectPool(
        image,
        pool.probabilities,
        pool.labelled,
        summary.done,
        pool.areas,
        _committee_opinion(pool.table, settings),
    )
    return tuple(
        SelectedImage(str(images[index]), score, reasons(objects, index, nearest))
        for index, score, nearest in chosen
    ) + tuple(
        SelectedImage(
            str(images[index]),
            float("nan"),
            ("drawn at random, to see where the model errs without doubting itself",),
            random=True,
        )
        for index in drawn.tolist()
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Summary:
    """What is known of each of n images.

    ``doubt`` (n,) weighs its unlabelled objects; ``expected`` (n, 4) is the number of
    unlabelled objects expected of each class; ``labelled`` (4,) the labelled ones of all
    images; ``distances`` (n, n) the distances between images; ``done`` (n,) bool.
    """

    doubt: Floats
    expected: Floats
    labelled: Floats
    distances: Floats
    done: BoolMask


def uncertainty(probabilities: Floats) -> Floats:
    """Mean of 1 - margin and of the entropy over its maximum, (M,) float64 0..1.

    The margin sees doubt between two classes, the entropy doubt among all four.

    Parameters
    ----------
    probabilities : (M, 4) float64
        Rows that sum to 1.

    References
    ----------
    Settles, "Active learning literature survey", University of Wisconsin-Madison, Computer
    Sciences Technical Report 1648 (2009), section 3.1.

    Examples
    --------
    >>> uncertainty(np.array([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]]))
    array([0., 1.])
    """
    ordered = np.sort(probabilities, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    # 0 log 0 is 0, not NaN.
    logs = np.log(np.maximum(probabilities, 1e-12))
    entropy = -(probabilities * logs).sum(axis=1) / np.log(probabilities.shape[1])
    result: Floats = (1.0 - margin + entropy) / 2.0
    return result


def object_doubt(
    probabilities: Floats, network: Floats | None, areas: Floats, settings: QuerySettings
) -> Floats:
    """How much a label of each object may teach, (M,) float64; only the order counts.

    Its doubt, the more so where it may belong to a rare class, and by its area.

    Parameters
    ----------
    probabilities : (M, 4) float64
        By the classifier.
    network : (M, 4) float64 or None
        By the segmentation network; None without one, and then there is no committee.
    areas : (M,) float64
        Pixels.
    settings : QuerySettings
    """
    if not len(probabilities):
        return np.zeros(0)
    if network is None or settings.strategy != COMMITTEE:
        doubt, opinion = uncertainty(probabilities), probabilities
    else:
        # The classes that an object may have are those that either of the two believes in.
        doubt, opinion = disagreement(network, probabilities), consensus(network, probabilities)
    worth: Floats = doubt * (opinion @ class_weights(opinion, settings.balance))
    return worth * areas**settings.area


def class_weights(probabilities: Floats, balance: float) -> Floats:
    """Weight of each class, (4,) float64: its expected share to the power of -balance.

    Parameters
    ----------
    probabilities : (M, 4) float64
        Of M objects, M of 1 or more.
    balance : float
        0 (all classes alike) to 1 (as if all were equally frequent).

    Examples
    --------
    >>> class_weights(np.array([[0.64, 0.32, 0.04, 0.0]]), 0.5).round(2)
    array([ 1.25,  1.77,  5.  , 10.  ])
    """
    # A class that is hardly ever seen would else drown all others.
    result: Floats = np.maximum(probabilities.mean(axis=0), _RAREST) ** -balance
    return result


def embeddings(table: FeatureTable, image: NDArray[np.intp], count: int) -> Floats:
    """Mean and spread of the standardised features of each image's objects, (n, 2 F) float64.

    Parameters
    ----------
    table : FeatureTable
        M objects.
    image : (M,) intp
        Number of the image of each object, 0..n - 1; each image has one object or more.
    count : int
        The number of images, n.

    Examples
    --------
    Two images that differ in the mean of their one feature; within each, the objects are alike.

    >>> X, ids = np.array([[1.0], [1.0], [3.0]]), np.array([1, 2, 1], np.int32)
    >>> table = FeatureTable(np.array(["a", "a", "b"]), ids, X, ("size",), "f")
    >>> places = embeddings(table, np.array([0, 0, 1]), 2)
    >>> places.shape, bool(places[0, 0] < places[1, 0]), places[:, 1].tolist()
    ((2, 2), True, [0.0, 0.0])
    """
    points = fit_scaling(table.X)(table.X)
    size = np.bincount(image, minlength=count)[:, None]
    mean = np.stack([np.bincount(image, column, count) for column in points.T], axis=1) / size
    # From the means, not as a difference of squares: rounding could leave that below 0.
    off = (points - mean[image]) ** 2
    spread = np.stack([np.bincount(image, column, count) for column in off.T], axis=1) / size
    return np.concatenate([mean, np.sqrt(spread)], axis=1)


def _summarise(
    pool: Pool, image: NDArray[np.intp], count: int, settings: QuerySettings
) -> _Summary:
    p, unlabelled = pool.probabilities, ~pool.labelled
    worth = object_doubt(p, _committee_opinion(pool.table, settings), pool.areas, settings)
    doubt = np.bincount(image, worth * unlabelled, count)
    size = np.bincount(image, minlength=count)
    remaining = np.bincount(image, unlabelled, count)
    expected = np.stack([np.bincount(image, column * unlabelled, count) for column in p.T], axis=1)
    places = embeddings(pool.table, image, count)
    return _Summary(
        # Between the sum, which favours full images, and the mean, which favours sparse ones.
        doubt / np.sqrt(size),
        np.asarray(expected, np.float64),
        p[pool.labelled].sum(axis=0),
        np.sqrt(squared_distances(places, places)),
        remaining < _DONE * size,
    )


def _committee_opinion(table: FeatureTable, settings: QuerySettings) -> Floats | None:
    """What the network holds of each object, where it has a say; else None."""
    return network_probabilities(table) if settings.strategy == COMMITTEE else None


def _random_count(count: int, settings: QuerySettings) -> int:
    """At least one where any are wanted, but never all of them for a share below 1."""
    if not settings.random_share or not count:
        return 0
    wanted = max(1, round(count * settings.random_share))
    return min(wanted, count if settings.random_share == 1 else count - 1)


def _draw(free: NDArray[np.intp], count: int, random_state: int) -> NDArray[np.intp]:
    # Another number of free images gives another draw, also for one and the same seed.
    rng = np.random.default_rng([random_state, len(free)])
    return np.sort(rng.permutation(free)[:count])


def _greedy(
    summary: _Summary, free: NDArray[np.intp], count: int, settings: QuerySettings
) -> list[tuple[int, float, float]]:
    """Images one by one: each with its score and how near the next labelled one is.

    Nearness is the share of the free images that are nearer to a labelled image, 0..1.
    """
    chosen: list[tuple[int, float, float]] = []
    labelled = summary.labelled.copy()
    taken = np.flatnonzero(summary.done).tolist()
    for _ in range(count):
        # The tenth trabecula of a batch teaches less than the first: log(1 + new / known).
        rarity = np.log1p(summary.expected[free] / (1.0 + labelled)).sum(axis=1)
        unlike = _unlike(summary.distances[free], taken)
        # Three figures with other units: each is stretched to 0..1 over the free images.
        score = (
            _stretched(summary.doubt[free])
            + settings.rarity * _stretched(rarity)
            + settings.novelty * _stretched(unlike)
        )
        best = int(score.argmax())
        index = int(free[best])
        chosen.append((index, float(score[best]), float((unlike < unlike[best]).mean())))
        # As if it were labelled now, so that the next image asks something else.
        labelled += summary.expected[index]
        taken.append(index)
        free = np.delete(free, best)
    return chosen


def _unlike(distances: Floats, taken: list[int]) -> Floats:
    """How far each image lies from those taken, larger for one that is worth more.

    The distance to the nearest taken image: the largest is the next centre of a greedy
    k-centre. Before the first there is none; then the image in the middle of all comes
    first, because the one farthest from all would be an outlier.
    """
    if taken:
        nearest: Floats = distances[:, taken].min(axis=1)
        return nearest
    return -np.asarray(distances.mean(axis=1))


def _stretched(values: Floats) -> Floats:
    """From 0 at the least to 1 at the largest; 0 where all are the same."""
    low, high = values.min(), values.max()
    result: Floats = (values - low) / (high - low if high > low else 1.0)
    return result
