"""How many patients there are, in words: an image whose patient nobody named is not a patient.

Where figures need patients, such an image counts as one of its own. What is said of it must not
read as if somebody had counted patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

HOW_TO_NAME = (
    "if several images are of one patient, say so under [patients] in study.toml, with "
    "pattern = '^([^_]+)_' (what the brackets find in the file name is the patient: here all "
    "before the first _) or table = 'patients.csv' (columns image and patient); until then "
    "intervals are likely too narrow"
)
"""What to set where no patient is named."""


def unknown_patients(images: Iterable[tuple[str, str]]) -> int:
    """How many images have no patient but themselves.

    Parameters
    ----------
    images : iterable of (str, str)
        Name of an image, and of its patient.

    Examples
    --------
    >>> unknown_patients([("a_1", "a"), ("a_2", "a"), ("b", "b")])
    1
    """
    return sum(name == patient for name, patient in images)


def unknown_in_card(card: Mapping[str, Any]) -> int:
    """How many of the patients in a network's card are images that count as one of their own.

    Examples
    --------
    >>> unknown_in_card({"patients": ["a", "b_1"], "images": [{"name": "a_1"}, {"name": "b_1"}]})
    1
    """
    return len(set(card["patients"]) & {one.get("name") for one in card["images"]})


def of_patients(images: str, patients: int, unknown: int) -> str:
    """Images and their patients.

    Parameters
    ----------
    images : str
        Such as ``6 images``.
    patients : int
        With the images that count as one of their own.
    unknown : int
        Number of these images.

    Examples
    --------
    >>> of_patients("6 images", 3, 0)
    '6 images of 3 patients'
    >>> of_patients("6 images", 6, 6)
    '6 images, no patient named (each image counts as one of its own)'
    >>> of_patients("6 images", 3, 2)
    '6 images of 1 patient and 2 unknown (each such image counts as a patient of its own)'
    """
    if unknown and unknown == patients:
        return f"{images}, no patient named (each image counts as one of its own)"
    known = patients - unknown
    text = f"{images} of {known:,} patient{'' if known == 1 else 's'}"
    if not unknown:
        return text
    return f"{text} and {unknown:,} unknown (each such image counts as a patient of its own)"


def over_patients(patients: int, unknown: int) -> str:
    """What intervals are over.

    Examples
    --------
    >>> over_patients(3, 0), over_patients(6, 6), over_patients(6, 2)
    ('patients', 'images', 'patients')
    """
    return "images" if unknown and unknown == patients else "patients"


def patients_note(unknown: int, are_named: bool) -> str:
    """What a person can do about images of unknown patients; empty where there is none.

    Parameters
    ----------
    unknown : int
        Number of these images.
    are_named : bool
        Whether a pattern or a table of patients is set.

    Examples
    --------
    >>> patients_note(0, True), patients_note(2, True)
    ('', '2 image(s) are of no patient that the pattern or table under [patients] knows')
    """
    if not unknown:
        return ""
    if are_named:
        return (
            f"{unknown} image(s) are of no patient that the pattern or table under [patients] knows"
        )
    return f"no patient is named: {HOW_TO_NAME}"
