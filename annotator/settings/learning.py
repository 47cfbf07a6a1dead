"""The learning loop: first classes, labels, training, the next images, and playing it through."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.settings.bounds import MOST_RANDOM_STATE, check_bounds, setting_error

CLASSIFIERS = ("rbf", "bambo")
UNCERTAINTY, COMMITTEE = "uncertainty", "committee"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a classifier learns from labelled objects, and how it is judged.

    Raises
    ------
    SettingsError
        When the classifier is unknown, or a number is out of its range.

    Examples
    --------
    >>> TrainSettings(folds=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    annotator.core.errors.SettingsError: [train] folds: expected at least 2, got 1; correct ...
    """

    classifier: str = field(
        default="rbf",
        metadata={
            "doc": "support vector machine: rbf (scaled features, tuned on your labels) or "
            "bambo (the one of the paper: degree 9, features as they are, nothing tuned)",
            "choices": CLASSIFIERS,
        },
    )
    area: float = field(
        default=0.5,
        metadata={
            "doc": "an object counts by its area to this power: among hundreds of small gaps a "
            "trabecula or a piece of slide is one object; 0 lets all count the same",
            "ge": 0.0,
            "le": 1.0,
        },
    )
    folds: int = field(
        default=5,
        metadata={"doc": "parts that the patients are dealt into to judge a model", "ge": 2},
    )
    inner_folds: int = field(
        default=3,
        metadata={"doc": "parts of each training set, for tuning and calibration", "ge": 2},
    )
    search_rows: int = field(
        default=2500,
        metadata={"doc": "objects that the tuning sees; more is slower, hardly better", "ge": 100},
    )
    fit_rows: int = field(
        default=10000,
        metadata={"doc": "objects that a model is fitted on; rare classes stay whole", "ge": 100},
    )
    bins: int = field(
        default=10,
        metadata={"doc": "bars of the reliability curve", "ge": 2, "le": 100},
    )
    resamples: int = field(
        default=1000,
        metadata={"doc": "bootstrap samples behind each interval", "ge": 100, "le": 100000},
    )
    importance_rows: int = field(
        default=800,
        metadata={
            "doc": "held-out objects on which each feature is shuffled, to see how much the model "
            "needs it",
            "ge": 50,
        },
    )
    random_state: int = field(
        default=0,
        metadata={
            "doc": "start of the random generator; the same start gives the same result",
            "ge": 0,
            "le": MOST_RANDOM_STATE,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "train")


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How corrected masks become labels, and how labels move to other objects.

    Raises
    ------
    SettingsError
        When a share is not above a half: two classes, or two objects, could then match.
    """

    least_purity: float = field(
        default=0.8,
        metadata={
            "doc": "an object takes the class that a corrected mask gives to this share of its "
            "labelled pixels; below it is mixed, and not trained on",
            "gt": 0.5,
            "le": 1.0,
        },
    )
    least_iou: float = field(
        default=0.7,
        metadata={
            "doc": "labels move to the object that overlaps the old one this much (IoU) when "
            "the proposals change",
            "gt": 0.5,
            "le": 1.0,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "labels")


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """How the images that an expert labels next are chosen.

    An image is worth more where the model doubts, where rare classes lie, and where it looks
    unlike the labelled ones. Some are drawn at random all the same.

    Raises
    ------
    SettingsError
        When the strategy is unknown, or a share or a weight is out of its range.
    """

    random_share: float = field(
        default=0.2,
        metadata={"doc": "share of the images that is drawn at random", "ge": 0.0, "le": 1.0},
    )
    balance: float = field(
        default=0.7,
        metadata={
            "doc": "how much more a doubtful object counts where its class is rare: "
            "0 not at all, 1 so that all classes count alike",
            "ge": 0.0,
            "le": 1.0,
        },
    )
    area: float = field(
        default=0.0,
        metadata={
            "doc": "an object counts by its area to this power; 0 lets all count the same",
            "ge": 0.0,
            "le": 1.0,
        },
    )
    rarity: float = field(
        default=0.3,
        metadata={
            "doc": "weight of what an image adds to rare classes; the doubt of the model weighs 1",
            "ge": 0.0,
        },
    )
    novelty: float = field(
        default=0.5,
        metadata={
            "doc": "weight of being unlike the labelled images; the doubt of the model weighs 1",
            "ge": 0.0,
        },
    )
    random_state: int = field(
        default=0,
        metadata={
            "doc": "start of the random generator; the same start gives the same result",
            "ge": 0,
        },
    )
    strategy: str = field(
        default=UNCERTAINTY,
        metadata={
            "doc": "which objects count as doubtful: uncertainty (the classifier is unsure of "
            "them) or committee (the segmentation network and the classifier disagree on them; "
            "where no network saw the images, as uncertainty)",
            "choices": (UNCERTAINTY, COMMITTEE),
            # Studies were made before there was the choice.
            "earlier": UNCERTAINTY,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "query")


@dataclass(frozen=True, slots=True)
class SeedSettings:
    """How objects get a first class before anyone has labelled anything.

    Raises
    ------
    SettingsError
        When a value is out of its range, or there is no number of groups to try.
    """

    groups_min: int = field(
        default=8,
        metadata={"doc": "fewest groups of like objects that are tried (k-means)", "ge": 2},
    )
    groups_max: int = field(
        default=12,
        metadata={
            "doc": "most groups that are tried; the number that parts objects best is taken",
            "ge": 2,
            "le": 64,
        },
    )
    group_weight: float = field(
        default=0.2,
        metadata={
            "doc": "how far an object follows its group rather than its own traits, 0..1",
            "ge": 0.0,
            "le": 1.0,
        },
    )
    sample: int = field(
        default=6000,
        metadata={"doc": "objects that the groups are fitted on, evenly taken", "ge": 50},
    )
    random_state: int = field(
        default=0,
        metadata={
            "doc": "start of the random generator; the same start gives the same result",
            "ge": 0,
            "le": MOST_RANDOM_STATE,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "seed")
        if self.groups_min > self.groups_max:
            expected = f"no more than groups_max ({self.groups_max})"
            raise setting_error("seed", "groups_min", expected, self.groups_min)


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """How labelling round after round is played through on images with known masks.

    Raises
    ------
    SettingsError
        When a number is out of its range.
    """

    rounds: int = field(default=4, metadata={"doc": "rounds of labelling", "ge": 1})
    batch: int = field(default=10, metadata={"doc": "images labelled in each round", "ge": 1})
    seeds: int = field(
        default=5,
        metadata={"doc": "repetitions with other random draws; results are their mean", "ge": 1},
    )
    held_out: float = field(
        default=0.3,
        metadata={"doc": "share of the patients kept for measuring", "gt": 0.0, "lt": 1.0},
    )

    def __post_init__(self) -> None:
        check_bounds(self, "simulate")
