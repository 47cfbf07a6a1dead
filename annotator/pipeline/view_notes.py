"""Notes on what is odd with a picture as a whole, in words that say what to do."""

from __future__ import annotations

import numpy as np

from annotator.imaging.clear_view import ClearView

DOUBTFUL_WHITE = "white is doubtful, and so is the cellularity: "
"""So begins the note on an image whose white is not seen."""
_NOWHERE = (
    f"{DOUBTFUL_WHITE}neither slide nor an adipocyte shows it; look at the draft, or take a field "
    "with some empty slide under the same light"
)
_OVEREXPOSED = (
    f"{DOUBTFUL_WHITE}the picture is overexposed, pale stain is as bright as slide; take it again "
    "with less light"
)
_SAVE_AGAIN = "open its original and save it again"
_ONE_COLOUR = f"all of the picture is one colour, as when its data were not read: {_SAVE_AGAIN}"


def view_notes(view: ClearView) -> tuple[str, ...]:
    """Notes on black, a cast of the light, one colour and white that is not seen.

    Parameters
    ----------
    view : ClearView

    Examples
    --------
    >>> from annotator.core.objects import Image
    >>> from annotator.imaging.clear_view import clear_view
    >>> for note in view_notes(clear_view(Image.from_pixels(np.zeros((9, 9, 3), np.uint8)))):
    ...     print(note)
    81 px unlabelled: all of the picture is black: open its original and save it again
    """
    notes = []
    if view.is_all_black:
        notes.append(f"{_pixels(view)} px unlabelled: all of the picture is black: {_SAVE_AGAIN}")
    elif view.is_blank:
        notes.append(f"{_pixels(view)} px unlabelled: {_ONE_COLOUR}")
    elif view.one_colour is not None:
        notes.append(_ONE_COLOUR)
    elif view.black is not None:
        notes.append(
            f"{_pixels(view)} px unlabelled: black is no tissue (bars, edge of an eyepiece, "
            "lost tiles)"
        )
    if view.light is not None and view.light.cast and view.one_colour is None:
        notes.append(
            f"its light is {view.light.cast}, not white: classes were told as under white light; "
            "set the white balance of the camera"
        )
    if view.light is not None and view.light.is_dim and view.one_colour is None:
        notes.append("it has little light: classes were told in a brighter copy")
    if view.is_white_doubtful:
        notes.append(_OVEREXPOSED if view.is_overexposed else _NOWHERE)
    return tuple(notes)


def _pixels(view: ClearView) -> int:
    return 0 if view.unseen is None else int(np.count_nonzero(view.unseen))
