"""Which images are read, whose they are, and which patients are kept apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from annotator.core.errors import SettingsError
from annotator.settings.bounds import check_bounds


@dataclass(frozen=True, slots=True)
class PatientSettings:
    """How images are put together by patient, and how many patients are kept apart.

    Images of one patient resemble each other. They stay together whenever a model is judged,
    else it would be judged on marrow that it has seen.

    Raises
    ------
    SettingsError
        When the pattern cannot be used, both ways are given, or the share is out of its range.

    Examples
    --------
    >>> PatientSettings(pattern="_([0-9]{4})_").named("BM_GRAZ_HE_0001_02.png")
    '0001'
    """

    pattern: str = field(
        default="",
        metadata={
            "doc": "regular expression on the name of an image's file; its first group, in "
            "brackets, is the patient (example: pattern = '_([0-9]{4})_'); empty: each image is "
            "a patient of its own"
        },
    )
    table: str = field(
        default="",
        metadata={
            "doc": "instead of a pattern: a CSV file with columns image and patient, seen from "
            "this folder"
        },
    )
    held_out: float = field(
        default=0.15,
        metadata={
            "doc": "share of the patients that models are never trained on, once five are "
            "labelled; it is measured on them",
            "ge": 0.0,
            "le": 0.5,
        },
    )

    @property
    def are_named(self) -> bool:
        """Whether a pattern or a table says whose an image is."""
        return bool(self.pattern or self.table)

    def __post_init__(self) -> None:
        check_bounds(self, "patients")
        if self.pattern and self.table:
            raise SettingsError(
                "expected a pattern or a table, got both; empty one of them under [patients]"
            )
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise SettingsError(
                f"expected a regular expression as pattern, got {self.pattern!r} ({error}); "
                "correct [patients] in study.toml"
            ) from error
        if self.pattern and not groups:
            raise SettingsError(
                f"expected a group in brackets in the pattern, got {self.pattern!r}; put "
                "brackets around the part that names the patient under [patients]"
            )

    def named(self, file: str) -> str | None:
        """The patient that a file's name tells; None where it tells none."""
        found = re.search(self.pattern, file) if self.pattern else None
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How large and how small an image may be to be read as a field of view.

    Raises
    ------
    SettingsError
        When a size is below one pixel.
    """

    max_pixels: int = field(
        default=64_000_000,
        metadata={
            "doc": "Largest image that is read, in pixels (width x height); "
            "larger ones are refused before decoding.",
            "ge": 1,
        },
    )
    min_side: int = field(
        default=32,
        metadata={"doc": "Shortest side of an image that is read, in pixels.", "ge": 1},
    )

    def __post_init__(self) -> None:
        check_bounds(self, "read")
