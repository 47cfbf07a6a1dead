"""Run lengths of Label Studio: runs and single values, and what is refused."""

import numpy as np
import pytest
from support.annotation_files import brush_rle

from annotator.core.errors import UsageError
from export.readers.brush_rle import brushed

SHAPE = (13, 17)
MASK = np.random.default_rng(1).random(SHAPE) > 0.6


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("sizes", [(3, 4, 8, 16), (1, 2, 3, 4)])
def test_a_mask_comes_back_exactly(runs: bool, sizes: tuple[int, ...]) -> None:
    assert np.array_equal(brushed(brush_rle(MASK, sizes, runs), SHAPE), MASK)


def test_runs_longer_than_a_count_go_on_in_the_next() -> None:
    mask = np.zeros((300, 400), bool)
    mask[:150] = True
    assert np.array_equal(brushed(brush_rle(mask), mask.shape), mask)


def test_what_label_studio_tests_its_own_decoder_with() -> None:
    """One run of eight values of 255, in the sizes that Label Studio writes."""
    assert brushed([0, 0, 0, 8, 57, 27, 252, 255, 224], (2, 1)).all()


def test_only_opacity_counts() -> None:
    """Single values: red, green and blue of one pixel that is transparent, and one that is not."""
    values = [255, 255, 255, 0, 0, 0, 0, 9]
    bits = f"{8:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    bits += f"000{7:03b}" + "".join(f"{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    coded = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert brushed(coded, (1, 2)).tolist() == [[False, True]]


WHOLE = brush_rle(MASK)


@pytest.mark.parametrize(
    ("coded", "why"),
    [
        ([], "ends too early"),
        (WHOLE[:-9], "ends too early"),
        (WHOLE[:5], "ends too early"),
        ([*WHOLE[:4], 300], "0-255"),
        (["a"], "0-255"),
        (2**40, "0-255"),
        ([0, 0, 0, 4, *WHOLE[4:]], "17 x 13 pixels, got 1 pixels"),
        ([255, 255, 255, 255, *WHOLE[4:]], "17 x 13 pixels"),
    ],
)
def test_what_is_no_brush_of_this_image_is_refused(coded: list[int], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        brushed(coded, SHAPE)


def test_a_run_beyond_the_image_is_refused() -> None:
    longer = brush_rle(np.ones((1, 8), bool))
    with pytest.raises(UsageError, match="longer"):
        brushed([0, 0, 0, 16, *longer[4:]], (1, 4))
