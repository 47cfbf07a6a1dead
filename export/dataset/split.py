"""Split a data set into train, validation and test sides, whole patients at a time.

The side of a patient depends on the seed and the patient's own name alone. So no patient is on
two sides, which would let a model be tested on tissue that it has seen, and none changes sides
when images are added.
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
    """How patients are assigned to sides.

    Parameters
    ----------
    seed : int
    shares : (int, int, int)
        Percent of the patients for train, val and test, 100 together; reached on average.

    Raises
    ------
    UsageError
        When there are not three shares from 0 on that add up to 100.
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

        The first 64 bits of a sha256 over seed and name, read as a number between 0 and 1, fall
        into one of three intervals that are as long as the shares.

        Examples
        --------
        >>> Split(seed=1).side("patient 7") == Split(seed=1).side("patient 7")
        True
        >>> Split(shares=(0, 0, 100)).side("anybody")
        'test'
        """
        digest = hashlib.sha256(f"{self.seed}\n{patient}".encode("utf-8", "surrogatepass"))
        # Times 100 and compared with percent times 2**64: whole numbers, so nothing is rounded.
        place = int.from_bytes(digest.digest()[:8]) * 100
        train, val, _ = self.shares
        if place < train << 64:
            return "train"
        return "val" if place < (train + val) << 64 else "test"

    def empty_sides(self, patients: Iterable[str]) -> tuple[str, ...]:
        """Sides that were to have patients and got none, which happens where there are few."""
        filled = {self.side(patient) for patient in patients}
        wanted = zip(SIDES, self.shares, strict=True)
        return tuple(side for side, share in wanted if share and side not in filled)


def parse_shares(text: str) -> tuple[int, int, int]:
    """Read shares such as ``70/15/15``.

    Raises
    ------
    UsageError
        When the text has another form, or the shares do not add up to 100.

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
