"""How figures are written, by the report and the commands: a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from annotator.core.intervals import Estimate

NONE = "–"
"""Written where there is no figure."""
_LONGEST = 32


def number(value: float | None, digits: int = 1, plus: bool = False) -> str:
    """Write a figure; a dash for None and for what is not finite.

    Examples
    --------
    >>> number(3.14159, 2), number(None), number(float("nan")), number(-0.02, plus=True)
    ('3.14', '–', '–', '+0.0')
    """
    if value is None or not math.isfinite(value):
        return NONE
    # No figure is "-0.0".
    value = value if round(value, digits) else 0.0
    text = f"{value:+.{digits}f}" if plus else f"{value:.{digits}f}"
    return text.replace("-", "−")


def percentage(share: float | None, digits: int = 1) -> str:
    """Write a share, 0..1, in percent, without the sign.

    Examples
    --------
    >>> percentage(0.5), percentage(2 / 3, 0), percentage(None)
    ('50.0', '67', '–')
    """
    return number(None if share is None else 100 * share, digits)


def interval(
    found: Estimate | None, digits: int = 3, plus: bool = False, between: str = " to "
) -> str:
    """Write a figure and its interval.

    Parameters
    ----------
    found : Estimate or None
    digits : int
        After the point.
    plus : bool
        Whether positive figures have a sign, too.
    between : str
        Between the ends.

    Examples
    --------
    >>> interval(Estimate(0.9, 0.85, 0.95), 2), interval(Estimate(0.9)), interval(None)
    ('0.90 (0.85 to 0.95)', '0.900', '–')
    """
    if found is None:
        return NONE
    text = number(found.value, digits, plus)
    if found.low is None or found.high is None or text == NONE:
        return text
    low, high = number(found.low, digits, plus), number(found.high, digits, plus)
    return f"{text} ({low}{between}{high})"


def mean_sd(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation (n - 1); the deviation of one value is not known.

    Examples
    --------
    >>> mean_sd([1.0, 3.0]), mean_sd([2.0]), mean_sd([])
    ('2.0 ± 1.4', '2.0', '–')
    """
    if not values:
        return NONE
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return number(mean, digits)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{number(mean, digits)} ± {number(spread, digits)}"


def sentence(text: str) -> str:
    """A note as a sentence.

    Examples
    --------
    >>> sentence("few patients")
    'Few patients.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ":", "?")) else ".")


def short(name: str) -> str:
    """A name that does not push a table aside: both ends tell names apart.

    Examples
    --------
    >>> short("biopsy_7"), short("a" * 60 + ".png")
    ('biopsy_7', 'aaaaaaaaaaaaaaa…aaaaaaaaaaaa.png')
    """
    return name if len(name) <= _LONGEST else f"{name[:15]}…{name[-16:]}"


def count(number_of: int, what: str, several: str | None = None) -> str:
    """So many of something.

    Examples
    --------
    >>> count(1, "image"), count(12345, "image"), count(2, "study", "studies")
    ('1 image', '12,345 images', '2 studies')
    """
    return f"{number_of:,} {what if number_of == 1 else several or what + 's'}"
