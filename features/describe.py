"""All features of the objects of an image, in one table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from annotator.core.arrays import Floats
from annotator.core.objects import ImageObjects
from annotator.imaging.appearance import Appearance
from annotator.settings.annotation import DescribeSettings
from features import bambo, colour, neighbours, network, shape, surround, texture
from features._geometry import geometry, pixel_numbers
from features._means import means
from features._planes import Planes, planes
from features._segments import Stretches, join_runs
from features.earlier import EarlierTable, KnownRows, known_rows
from features.table import Column, FeatureTable, fingerprint

# Goes up whenever a column changes its meaning under the same name.
FEATURES_VERSION = 5

OWN_COLUMNS = colour.COLUMNS + texture.COLUMNS + shape.COLUMNS + surround.COLUMNS
"""What an object and its surroundings look like."""
# What a network and the neighbours know, and the object alone does not show.
_CONTEXT = frozenset(column.name for column in neighbours.COLUMNS + network.COLUMNS)

# Bounds the memory: about this many pixels of boxes are taken apart at a time, 25 MB.
_BATCH_PIXELS = 300_000


def columns(settings: DescribeSettings, of_network: bool = False) -> tuple[Column, ...]:
    """Every column of the table, with unit, range and source.

    Parameters
    ----------
    settings : DescribeSettings
    of_network : bool
        Whether a segmentation network saw the image; the published set has no use for it.

    Examples
    --------
    >>> [c.name for c in columns(DescribeSettings("bambo"))][:3]
    ['bambo_pink_share', 'bambo_white_share', 'bambo_purple_share']
    """
    if settings.preset == "bambo":
        return bambo.COLUMNS
    return OWN_COLUMNS + neighbours.COLUMNS + (network.COLUMNS if of_network else ())


def feature_names(settings: DescribeSettings, of_network: bool = False) -> tuple[str, ...]:
    """Names of the columns, in order; see :func:`columns`."""
    return tuple(column.name for column in columns(settings, of_network))


def own_features(table: FeatureTable) -> Floats:
    """The columns of each object by itself, (M, F) float64; see :data:`OWN_COLUMNS`.

    Those of its neighbours and of a network help a classifier that has labels; groups that
    have none are only blurred by the one, and would be another's opinion by the other.

    Examples
    --------
    >>> of = np.array(["a1"]), np.array([1], np.int32), np.array([[0.5, 2.0]])
    >>> own_features(FeatureTable(*of, ("area_share", "log_contact"), "0")).tolist()
    [[0.5]]
    """
    kept = [at for at, name in enumerate(table.names) if name not in _CONTEXT]
    return table.X if len(kept) == len(table.names) else table.X[:, kept]


def feature_fingerprint(settings: DescribeSettings, network_key: str = "") -> str:
    """What a table made with these settings carries; see :func:`fingerprint`.

    Parameters
    ----------
    settings : DescribeSettings
    network_key : str
        Fingerprint of the segmentation network that saw the image; empty for none. Objects
        are cut along its borders, so that it counts with the published features, too.
    """
    seen = f" network {network_key}" if network_key else ""
    names = feature_names(settings, bool(network_key))
    return fingerprint(names, f"{settings!r} version {FEATURES_VERSION}{seen}")


def describe(
    appearance: Appearance,
    objects: ImageObjects,
    settings: DescribeSettings,
    earlier: EarlierTable | None = None,
) -> FeatureTable:
    """Compute the features of every object of an image.

    Parameters
    ----------
    appearance : Appearance
        Of the image.
    objects : ImageObjects
        Of the same image; they may overlap.
    settings : DescribeSettings
    earlier : EarlierTable, optional
        Objects of the same image, scale and network that were described before: what they
        have in common is taken over. The table is the same with it and without it.

    Returns
    -------
    FeatureTable
        One row an object, in order. A value is finite, or NaN where the range of its
        column says so.

    Raises
    ------
    ValueError
        When the objects lie on another shape than the image has.
    """
    shape = appearance.image.shape
    if objects.shape != shape:
        raise ValueError(f"objects lie on {objects.shape}, the image is {shape}")
    names = feature_names(settings, appearance.probabilities is not None)
    key = feature_fingerprint(settings, appearance.network_key)
    values = np.empty((len(objects), len(names)))
    if len(objects):
        if settings.preset == "bambo":
            table = bambo.bambo(appearance.image, objects)
        elif earlier is not None and earlier.table.fingerprint == key:
            table = _taken_over(appearance, objects, earlier)
        else:
            table = _trephine(appearance, objects)
        for at, name in enumerate(names):
            values[:, at] = table[name]
    return FeatureTable(
        np.full(len(objects), objects.image_id, dtype=f"<U{max(len(objects.image_id), 1)}"),
        objects.ids,
        values,
        names,
        key,
    )


def _trephine(appearance: Appearance, objects: ImageObjects) -> dict[str, Floats]:
    """Columns of the preset ``trephine``."""
    seen = surround.seen_ids(objects)
    table = _by_itself(appearance, objects, seen)
    return table | _around(appearance, objects, seen, table)


def described_before(
    appearance: Appearance,
    objects: ImageObjects,
    settings: DescribeSettings,
    network_key: str,
    earlier: EarlierTable,
) -> FeatureTable | None:
    """The table where an earlier one holds every object; no network need look again.

    Parameters
    ----------
    appearance : Appearance
        Of the image; without what the network made of it.
    objects : ImageObjects
    settings : DescribeSettings
    network_key : str
        Fingerprint of the network that saw the image; empty for none.
    earlier : EarlierTable

    Returns
    -------
    FeatureTable or None
        As :func:`describe` would make it; None where an object is new, or the earlier table
        has other columns.
    """
    key = feature_fingerprint(settings, network_key)
    if settings.preset == "bambo" or earlier.table.fingerprint != key:
        return None
    seen = surround.seen_ids(objects)
    known = known_rows(earlier, objects, seen)
    if (known.row < 0).any():
        return None
    names = feature_names(settings, bool(network_key))
    table = _known_columns(known, objects, seen, bool(network_key))
    table |= _around(appearance, objects, seen, table)
    values = np.stack([table[name] for name in names], axis=1)
    image_ids = np.full(len(objects), objects.image_id)
    return FeatureTable(image_ids, objects.ids, values, names, key)


def _taken_over(
    appearance: Appearance, objects: ImageObjects, earlier: EarlierTable
) -> dict[str, Floats]:
    """The same columns; those of objects that an earlier table has are taken from it."""
    seen = surround.seen_ids(objects)
    known = known_rows(earlier, objects, seen)
    table = _known_columns(known, objects, seen, appearance.probabilities is not None)
    missing = np.flatnonzero(known.row < 0)
    if len(missing):
        made = _by_itself(appearance, objects.select(missing), seen)
        for name, values in table.items():
            values[missing] = made[name]
    return table | _around(appearance, objects, seen, table)


def _known_columns(
    known: KnownRows, objects: ImageObjects, seen: NDArray[np.int32], of_network: bool
) -> dict[str, Floats]:
    """Columns of known objects by themselves, NaN for others; their neighbours counted again."""
    by_itself = OWN_COLUMNS + (network.COLUMNS if of_network else ())
    table = {column.name: known.column(column.name) for column in by_itself}
    around, numbers = np.flatnonzero(known.changed_around), pixel_numbers(objects.shape)
    counts = [
        surround.neighbour_count(geometry(part, numbers), seen)
        for part in batches(objects.select(around))
    ]
    table[surround.NEIGHBOUR_COUNT][around] = np.concatenate([np.zeros(0), *counts])
    return table


def _around(
    appearance: Appearance,
    objects: ImageObjects,
    seen: NDArray[np.int32],
    table: dict[str, Floats],
) -> dict[str, Floats]:
    """Columns of what the objects border on; they need all objects."""
    working = appearance.working_um_per_px
    return neighbours.neighbours(table, seen, objects.ids, objects.areas(), working)


def _by_itself(
    appearance: Appearance, objects: ImageObjects, seen: NDArray[np.int32]
) -> dict[str, Floats]:
    """Columns of each object by itself, with the count of those in its ring."""
    whole = planes(appearance)

    # What needs the objects' pixels goes batch by batch, so that they never lie in memory
    # all at once.
    table, parts = _by_batches(appearance, whole, objects, seen)

    # Means need only the runs of the objects: one pass over each plane serves all of them.
    of_network = network.network_planes(appearance)
    wanted = colour.MEANS + texture.MEANS + surround.MEANS
    table |= means(whole.layers, parts, wanted)
    if of_network:
        table |= means(of_network, parts, network.MEANS)

    # What compares columns with each other comes last.
    return table | {"rim_contrast": surround.contrast(table)}


def _by_batches(
    appearance: Appearance, whole: Planes, objects: ImageObjects, seen: NDArray[np.int32]
) -> tuple[dict[str, Floats], dict[str, Stretches]]:
    """Columns that need each object's pixels; and the runs of the objects' parts."""
    image, numbers = appearance.image, pixel_numbers(objects.shape)
    blocks, reaches = [], []
    for part in batches(objects):
        where = geometry(part, numbers)
        reaches.append(where.parts())
        blocks.append(
            colour.colour(whole, where.inside)
            | texture.texture(whole, where)
            | shape.shape(where, image.um_per_px, appearance.working_um_per_px)
            | surround.surround(whole, where, seen)
        )
    table = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    parts = {name: join_runs([reach[name] for reach in reaches]) for name in reaches[0]}
    return table, parts


def batches(objects: ImageObjects, pixels: int = _BATCH_PIXELS) -> Iterator[ImageObjects]:
    """Objects in order, cut where their boxes add up to about so many pixels.

    Examples
    --------
    >>> from annotator.core.objects import objects_from_masks
    >>> parts = [((0, 0), np.ones((40, 40), bool))] * 3
    >>> [len(batch) for batch in batches(objects_from_masks("a1", (40, 40), parts), 4000)]
    [2, 1]
    """
    x0, y0, x1, y1 = objects.boxes.astype(np.int64).T
    # the surroundings weigh as much as a few hundred pixels even for a speck
    batch = np.cumsum((x1 - x0) * (y1 - y0) + 300) // pixels
    for number in np.unique(batch):
        yield objects.select(np.flatnonzero(batch == number))
