"""Where the scale of an image, its microns per pixel, comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class FoundScale:
    """A scale found in a picture.

    Parameters
    ----------
    um_per_px : float
        In 0.15..12.
    by : {"nuclei", "network", "both"}
        Who is believed.
    is_sure : bool
        Whether both agree, so that sizes in microns can be relied on.
    """

    um_per_px: float
    by: str
    is_sure: bool


def known_scale(
    file: float | None,
    given: float | None,
    study: float | None,
    found: FoundScale | None = None,
) -> tuple[float | None, ScaleSource]:
    """Microns per pixel by the first who knows: the file, a person, the study's settings.

    A scanner writes into its file what it measured; a person says it of many images at once,
    and may not mean every one of them.

    Parameters
    ----------
    file, given, study : float or None
        Microns per pixel; None where that source says none.
    found : FoundScale, optional
        What the picture shows; nobody reports microns by it.

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
    return None, "none" if found is None else "found"


def scale_sources_in_words(sources: Iterable[ScaleSource]) -> str:
    """How many images have their scale from where.

    Examples
    --------
    >>> scale_sources_in_words(["given", "file", "given"])
    '1 from the file, 2 given with --um-per-px'
    """
    counts = Counter(sources)
    return ", ".join(f"{counts[name]} {words}" for name, words in _WORDS.items() if counts[name])


def found_scale_columns(scale: FoundScale | None) -> dict[str, float | str | bool | None]:
    """What tables say of a scale that was found in a picture.

    Examples
    --------
    >>> found_scale_columns(FoundScale(0.5, "nuclei", True))
    {'found_um_per_px': 0.5, 'scale_found_by': 'nuclei', 'found_scale_is_sure': True}
    """
    return {
        "found_um_per_px": None if scale is None else scale.um_per_px,
        "scale_found_by": None if scale is None else scale.by,
        "found_scale_is_sure": None if scale is None else scale.is_sure,
    }
