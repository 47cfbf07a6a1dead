"""Where the scale of an image, its microns per pixel, comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

ScaleSource = Literal["file", "given", "study", "found", "none"]
"""``file``: the image's file says it. ``given``: a person said it of this image
(``trephine annotate --um-per-px``). ``study``: ``um_per_px`` in ``study.toml``. ``found``: found
in the picture, for sizes inside the algorithms alone; nobody reports microns by it, so that
``um_per_px`` is None beside it. ``none``: nobody knows."""

_WORDS: Mapping[ScaleSource, str] = {
    "file": "from the file",
    "given": "given with --um-per-px",
    "study": "from study.toml",
    "found": "found in the picture, sizes in pixels",
    "none": "not known, sizes in pixels",
}


def known_scale(
    file: float | None, given: float | None, study: float | None
) -> tuple[float | None, ScaleSource]:
    """Microns per pixel by the first who knows: the file, a person, the study's settings.

    A scanner writes into its file what it measured; a person says it of many images at once,
    and may not mean every one of them.

    Parameters
    ----------
    file, given, study : float or None
        Microns per pixel; None where that source says none.

    Returns
    -------
    um_per_px : float or None
    source : ScaleSource

    Examples
    --------
    >>> known_scale(0.25, 0.5, None), known_scale(None, 0.5, 1.0), known_scale(None, None, None)
    ((0.25, 'file'), (0.5, 'given'), (None, 'none'))
    """
    by_source: dict[ScaleSource, float | None] = {"file": file, "given": given, "study": study}
    for source, value in by_source.items():
        if value is not None:
            return value, source
    return None, "none"


def scale_sources_in_words(sources: Iterable[ScaleSource]) -> str:
    """How many images have their scale from where.

    Examples
    --------
    >>> scale_sources_in_words(["given", "file", "given"])
    '1 from the file, 2 given with --um-per-px'
    """
    counts = Counter(sources)
    return ", ".join(f"{counts[name]} {words}" for name, words in _WORDS.items() if counts[name])
