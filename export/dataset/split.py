"""Train, validation and test sides of a data set, whole patients at a time.

The side of a patient depends on the seed and the patient's own name alone, so that no patient
is on two sides, and none changes sides when images are added.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from annotator.core.errors import UsageError

SIDES = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """How patients are dealt out.

    Parameters
    ----------
    seed : int
    shares : (int, int, int)
        Percent of the patients, on average, for train, val and test; 100 together.

    Raises
    ------
    UsageError
        When the shares cannot be used.
    """

    seed: int = 0
    shares: tuple[int, int, int] = (70, 15, 15)

    def __post_init__(self) -> None:
        if len(self.shares) != 3 or min(self.shares) < 0 or sum(self.shares) != 100:
            raise UsageError(
                f"expected three shares that make 100, such as 70/15/15, got "
                f"{'/'.join(map(str, self.shares))}"
            )

    def side(self, patient: str) -> str:
        """The side of a patient.

        The first 64 bits of a sha256 over seed and name, as a share of all there are, fall
        into one of three stretches.

        Examples
        --------
        >>> Split(seed=1).side("patient 7") == Split(seed=1).side("patient 7")
        True
        >>> Split(shares=(0, 0, 100)).side("anybody")
        'test'
        """
        digest = hashlib.sha256(f"{self.seed}\n{patient}".encode("utf-8", "surrogatepass"))
        place = int.from_bytes(digest.digest()[:8]) * 100
        train, val, _ = self.shares
        if place < train << 64:
            return "train"
        return "val" if place < (train + val) << 64 else "test"

    def empty_sides(self, patients: Iterable[str]) -> tuple[str, ...]:
        """Sides that were asked for and got nobody: chance leaves some out of few patients."""
        held = {self.side(patient) for patient in patients}
        asked = zip(SIDES, self.shares, strict=True)
        return tuple(side for side, share in asked if share and side not in held)


def parse_shares(text: str) -> tuple[int, int, int]:
    """Read ``70/15/15``.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> parse_shares("80/10/10")
    (80, 10, 10)
    """
    found = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text)
    if found is None:
        raise UsageError(f"expected shares such as 70/15/15, got {text!r}")
    train, val, test = (int(part) for part in found.groups())
    return Split(shares=(train, val, test)).shares
