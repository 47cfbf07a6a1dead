"""The search for prompts, with a SAM that is right: the truth answers."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from scipy import ndimage as ndi
from support.drawn_sam import disc

from annotator.imaging.appearance import Appearance
from annotator.segmentation.sam.guided import Search
from annotator.segmentation.sam.masks import Candidate, pack
from annotator.segmentation.sam.prompts import Ground, Regions, find_ground
from annotator.synthetic.field import Phantom, make_phantom
from annotator.synthetic.settings import phantom_set

SHAPE = (80, 120)


@dataclass
class Truth:
    """Answers a point with the mask under it, and with larger and smaller ones around it."""

    labels: np.ndarray
    others: float = 0.3
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    asked: list[tuple[float, float]] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    found: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        grown = cv2.dilate((self.labels > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        self.clusters = ndi.label(grown)[0]

    def ask(self, points: np.ndarray, boxes: np.ndarray | None = None) -> list[Candidate]:
        self.boxes += [] if boxes is None else boxes.tolist()
        answers = [self._answer(int(y), int(x), (x, y)) for x, y in points.tolist()]
        self.asked += [tuple(p) for p in points.tolist()]
        return [c for own in answers for c in own]

    def _answer(self, y: int, x: int, point: tuple[float, float]) -> list[Candidate]:
        label = int(self.labels[y, x])
        if not label:
            return []
        self.found.add(label)
        whole = self.labels == label
        part = whole & (np.arange(len(whole))[:, None] <= y)
        levels = [
            (whole, 1.0),
            (self.clusters == self.clusters[y, x], self.others),
            (part, self.others),
        ]
        chosen = [mask for mask, chance in levels if self.rng.random() < chance]
        packed = [pack(mask, 0.95, 0.97, point) for mask in chosen]
        return [candidate for candidate in packed if candidate is not None]


def ground(white: np.ndarray, smooth: np.ndarray | None = None) -> Ground:
    nothing = np.zeros_like(white)
    return Ground(white, nothing if smooth is None else smooth, nothing)


def labels_of(*masks: np.ndarray) -> np.ndarray:
    labels = np.zeros(masks[0].shape, np.int32)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
    return labels


def search(truth: Truth, on: Ground, most: int = 50) -> Search:
    return Search(on, truth.ask, most, 50.0)


def test_what_one_point_settles_is_not_asked_again() -> None:
    truth = Truth(labels_of(disc(20, 30, 15), disc(50, 90, 20)))
    found = search(truth, ground(truth.labels > 0)).run()
    assert len(truth.asked) == 2
    assert len(found) >= 2


def test_a_mask_of_a_cluster_does_not_settle_its_adipocytes() -> None:
    discs = [disc(40, 25 + 28 * i, 14) for i in range(3)]
    truth = Truth(labels_of(*discs), rng=np.random.default_rng(1))
    search(truth, ground(truth.labels > 0)).run()
    assert truth.found == {1, 2, 3}


def test_white_that_gives_nothing_is_given_up() -> None:
    truth = Truth(np.zeros(SHAPE, np.int32))
    asked = search(truth, ground(disc(40, 60, 30)), most=500)
    assert asked.run() == []
    assert 1 < asked.asked < 60


def test_the_rest_of_a_large_white_thing_is_asked_again() -> None:
    """What SAM found is a part; the uncovered rest gets points of its own."""
    left, right = disc(40, 60, 30), disc(40, 60, 30)
    left[:, 60:], right[:, :60] = False, False
    truth = Truth(labels_of(left, right), others=0)
    search(truth, ground(left | right)).run()
    assert truth.found == {1, 2}


def test_no_more_points_than_allowed() -> None:
    rng = np.random.default_rng(0)
    truth = Truth(labels_of(*[disc(y, x, 5) for y, x in rng.integers(0, 80, (40, 2))]))
    asked = search(truth, ground(truth.labels > 0), most=7)
    asked.run()
    assert asked.asked == len(truth.asked) == 7


def test_bone_like_ground_is_asked_on_a_grid_until_it_is_covered() -> None:
    bar = np.zeros(SHAPE, bool)
    bar[30:50, 5:115] = True
    truth = Truth(labels_of(bar))
    search(truth, ground(np.zeros(SHAPE, bool), bar)).run()
    assert truth.found == {1}
    assert len(truth.asked) <= 16


def test_regions_are_asked_first_with_their_boxes_and_settle_their_ground() -> None:
    first, second = disc(20, 30, 15), disc(50, 90, 20)
    truth = Truth(labels_of(first, second))
    regions = Regions(np.array([[90.0, 50.0]]), np.array([[70.0, 30, 111, 71]]), np.array([20.0]))
    asked = search(truth, ground(first | second))
    asked.run(regions)
    assert truth.boxes == [[70, 30, 111, 71]]
    assert truth.asked[0] == (90, 50)
    # One point for the disc that no region names; regions are no points.
    assert asked.asked == 1
    assert truth.found == {1, 2}


def test_a_region_that_the_mask_of_a_larger_one_covered_is_not_asked() -> None:
    whole = disc(40, 60, 30)
    truth = Truth(labels_of(whole), others=0)
    # A piece of the disc for each of more rows than go out at a time.
    points = np.array([[60.0, 40.0], *([[55.0, 18.0 + row] for row in range(40)])])
    boxes = np.tile([30.0, 10, 91, 71], (len(points), 1))
    asked = search(truth, ground(whole))
    asked.run(Regions(points, boxes, np.linspace(30, 2, len(points))))
    assert len(truth.boxes) < 20
    assert truth.found == {1}
    assert asked.asked == 0


def test_ground_that_gives_nothing_new_is_left_before_the_points_are_used_up() -> None:
    # Specks of white that no mask answers, apart from each other.
    specks = np.zeros(SHAPE, bool)
    specks[4::12, 4::12] = True
    specks = cv2.dilate(specks.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    truth = Truth(np.zeros(SHAPE, np.int32))
    Search(ground(specks), truth.ask, 500, 50.0).run()
    assert 16 <= len(truth.asked) <= 32


# Against a 64 x 64 grid, on phantoms


def objects_of(phantom: Phantom) -> np.ndarray:
    """Adipocytes, and each connected piece of slide and of bone, numbered."""
    labels = phantom.instances * (phantom.classes == 1)
    for code in (0, 3):
        pieces, _ = ndi.label(phantom.classes == code)
        labels = np.where(pieces > 0, pieces + labels.max(), labels)
    return labels.astype(np.int32)


def found_by_grid(labels: np.ndarray, on: Ground) -> set[int]:
    """What a grid of 64 x 64 meets: white or bone-like, over 0.01 % of the image."""
    y, x = (((np.arange(64) + 0.5) / 64 * side).astype(int) for side in labels.shape)
    met = np.unique(labels[np.ix_(y, x)])
    area = np.bincount(labels.ravel())
    like = np.bincount(labels.ravel(), (on.white | on.smooth).ravel())
    return {n for n in met.tolist() if n and area[n] > 1e-4 * labels.size and 2 * like[n] > area[n]}


FIELDS = [s for s in phantom_set(40, (320, 512), 1) if s.um_per_px < 0.9][:8]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(FIELDS)))
def test_finds_what_a_grid_of_64_finds_with_a_twentieth_of_its_prompts(number: int) -> None:
    phantom = make_phantom(FIELDS[number])
    on = find_ground(Appearance(phantom.image))
    truth = Truth(objects_of(phantom), rng=np.random.default_rng(number))
    Search(on, truth.ask, 200, 1e-4 * phantom.classes.size).run()
    wanted = found_by_grid(truth.labels, on)
    assert len(truth.asked) < 0.05 * 64 * 64
    assert len(wanted & truth.found) >= 0.97 * len(wanted)


@pytest.mark.slow
def test_on_all_these_fields_together_the_wanted_are_many() -> None:
    counts = []
    for settings in FIELDS:
        phantom = make_phantom(settings)
        counts.append(
            len(found_by_grid(objects_of(phantom), find_ground(Appearance(phantom.image))))
        )
    assert sum(counts) > 80
