"""How often the model is right on the random sample, by the word of people."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from annotator.review.queues import Listed
from annotator.review.snapshot import Table

_Z = 1.959964


def wilson(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212).

    Examples
    --------
    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    share, square = right / of, _Z * _Z
    middle = share + square / (2 * of)
    reach = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle - reach) / (1 + square / of), (middle + reach) / (1 + square / of)


def sample_figures(table: Table, listed: Listed, held_out: Collection[str]) -> dict[str, Any]:
    """Accuracy of the present model on the labelled part of the sample.

    Only objects of held-out patients count, where there are any: the model may have
    learned from the others.

    Parameters
    ----------
    table : Table
    listed : Listed
        The queue ``random``.
    held_out : collection of str
        Ids of images.

    Returns
    -------
    dict
        ``objects`` of the sample that count, ``labelled``, ``right``, ``accuracy``,
        ``interval`` (None before the first label), and whether they were ``unseen``.
    """
    keys = [(row, table.stock.keys[row]) for row in listed.rows.tolist()]
    counted = [(row, key) for row, key in keys if not held_out or key[0] in held_out]
    said = [(row, table.book.counting(key)) for row, key in counted]
    judged = [
        int(table.outlook.codes[row]) == label.code
        for row, label in said
        if label is not None and label.source == "person" and label.is_class
    ]
    right, of = sum(judged), len(judged)
    return {
        "objects": len(counted),
        "labelled": of,
        "right": right,
        "accuracy": right / of if of else None,
        "interval": list(wilson(right, of)) if of else None,
        "unseen": bool(held_out) or table.current is None,
    }
