"""The scale that a run gives to its images (``annotate --um-per-px``), and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from annotator.core.errors import UsageError
from annotator.study.rough import KnownImage
from annotator.study.study import Study

LEAST_UM, MOST_UM = 0.01, 100.0
"""Scales that can be given, um per px."""
# Two scales that differ by less, as a share of the larger, are the same.
_SAME = 0.01
_MOST_NAMES = 6


def check_given_scale(um_per_px: float | None) -> None:
    """Refuse a scale that no image can have.

    Raises
    ------
    UsageError
        When it is not in 0.01..100, or no number.
    """
    if um_per_px is not None and not LEAST_UM <= um_per_px <= MOST_UM:
        raise UsageError(
            f"expected microns per pixel from {LEAST_UM:g} to {MOST_UM:g}, got {um_per_px:g}; a "
            "scanner at 40x gives about 0.25, at 20x about 0.5"
        )


@dataclass(slots=True)
class GivenScale:
    """Gives one scale to the images of a run, and remembers where another one stood.

    Parameters
    ----------
    um_per_px : float or None
        None: the run gives none, and every image keeps its own.
    file_kept : list of (str, float)
        Images whose file says another scale, which they keep: name and um per px.
    replaced : list of (str, float)
        Images that had another scale, given before or from ``study.toml``.
    """

    um_per_px: float | None
    file_kept: list[tuple[str, float]] = field(default_factory=list)
    replaced: list[tuple[str, float]] = field(default_factory=list)

    def give(self, study: Study, image: KnownImage) -> KnownImage:
        """The image at the given scale, which the study keeps; the file's own goes before.

        Parameters
        ----------
        study : Study
            Held for writing.
        image : KnownImage
            As the study has just registered it.
        """
        if self.um_per_px is None:
            return image
        before = image.um_per_px
        differs = before is not None and not is_same_scale(before, self.um_per_px)
        if image.scale_source == "file":
            if before is not None and differs:
                self.file_kept.append((image.name, before))
            return image
        if before is not None and differs:
            self.replaced.append((image.name, before))
        return study.give_scale(image, self.um_per_px)

    def notes(self) -> tuple[str, ...]:
        """What a person should be told, once all images were given their scale."""
        if self.um_per_px is None:
            return ()
        given = f"--um-per-px {self.um_per_px:g}"
        notes = []
        if self.file_kept:
            notes.append(f"the file's own scale stays, not {given}, in {_named(self.file_kept)}")
        if self.replaced:
            notes.append(
                f"{given} takes the place of another scale in {_named(self.replaced)}; what "
                "depends on it is made anew"
            )
        return tuple(notes)


def is_same_scale(one: float, other: float) -> bool:
    """Whether two scales are the same but for rounding, 1 %.

    Examples
    --------
    >>> is_same_scale(0.2498, 0.25), is_same_scale(0.25, 0.5)
    (True, False)
    """
    return abs(one - other) <= _SAME * max(one, other)


def _named(images: Sequence[tuple[str, float]]) -> str:
    """Names and scales.

    Examples
    --------
    >>> _named([("a", 0.25), ("b", 0.5)])
    '2 images: a (0.25 um per px), b (0.5 um per px)'
    """
    shown = ", ".join(f"{name} ({um:g} um per px)" for name, um in images[:_MOST_NAMES])
    more = f" and {len(images) - _MOST_NAMES} more" if len(images) > _MOST_NAMES else ""
    return f"{len(images)} image{'' if len(images) == 1 else 's'}: {shown}{more}"
