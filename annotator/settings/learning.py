"""What a person may change about training, in study.toml under ``[train]``."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.core.errors import SettingsError

CLASSIFIERS = ("rbf", "bambo")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a classifier is fitted and how it is judged.

    Raises
    ------
    SettingsError
        When the classifier is unknown, or a number cannot be used.

    Examples
    --------
    >>> TrainSettings(folds=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    annotator.core.errors.SettingsError: expected folds of 2 or more, got 1; correct [train] ...
    """

    classifier: str = field(
        default="rbf",
        metadata={
            "doc": "rbf (scaled features, tuned on your labels) or bambo (the paper's SVC of "
            "degree 9, features as they are, nothing tuned)",
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
        metadata={"doc": "parts that the groups are dealt into to judge a model", "ge": 2},
    )
    inner_folds: int = field(
        default=3,
        metadata={"doc": "parts for tuning and for calibration, in each training set", "ge": 2},
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
        metadata={"doc": "held-out objects that the features are permuted on", "ge": 50},
    )
    random_state: int = field(default=0, metadata={"doc": "start of the random generator", "ge": 0})

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise SettingsError(
                f"expected a classifier {' or '.join(CLASSIFIERS)}, got {self.classifier!r}; "
                "correct [train] in study.toml"
            )
        for name, slot in self.__dataclass_fields__.items():
            least, value = slot.metadata.get("ge"), getattr(self, name)
            most = slot.metadata.get("le", value)
            if value > most:
                raise SettingsError(
                    f"expected {name} of {most} or less, got {value}; correct [train] in study.toml"
                )
            if least is not None and value < least:
                raise SettingsError(
                    f"expected {name} of {least} or more, got {value}; "
                    "correct [train] in study.toml"
                )


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How corrected masks become labels, and how labels move to other objects.

    Raises
    ------
    SettingsError
        When a share is outside 0..1, or two objects could match one and the same.
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
        for name in ("least_purity", "least_iou"):
            value = getattr(self, name)
            if not 0.5 < value <= 1:
                raise SettingsError(
                    f"expected a {name} above 0.5 and up to 1, got {value}; "
                    "correct [labels] in study.toml"
                )


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """How the next images are chosen.

    Raises
    ------
    SettingsError
        When the share drawn at random is no share, or a weight is negative.
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
        metadata={"doc": "an object counts by its area to this power", "ge": 0.0, "le": 1.0},
    )
    rarity: float = field(
        default=0.3,
        metadata={"doc": "weight of what an image adds to rare classes; doubt has 1", "ge": 0.0},
    )
    novelty: float = field(
        default=0.5,
        metadata={"doc": "weight of being unlike the labelled images; doubt has 1", "ge": 0.0},
    )
    random_state: int = field(default=0, metadata={"doc": "start of the random generator", "ge": 0})

    def __post_init__(self) -> None:
        shares = (self.random_share, self.balance, self.area)
        if not all(0 <= one <= 1 for one in shares) or min(self.rarity, self.novelty) < 0:
            raise SettingsError(
                "expected random_share, balance and area in 0..1 and rarity and novelty of 0 "
                f"or more, got {self}; correct [query] in study.toml"
            )


@dataclass(frozen=True, slots=True)
class SeedSettings:
    """How the first classes are found.

    Raises
    ------
    SettingsError
        When there is no number of groups to try, or the weight is no share.
    """

    groups_min: int = field(
        default=8, metadata={"doc": "fewest k-means groups that are tried", "ge": 2}
    )
    groups_max: int = field(
        default=12,
        metadata={"doc": "most groups; the silhouette picks among them", "ge": 2, "le": 64},
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
    random_state: int = field(default=0, metadata={"doc": "start of the random generator", "ge": 0})

    def __post_init__(self) -> None:
        if not 2 <= self.groups_min <= self.groups_max:
            raise SettingsError(
                "expected 2 <= groups_min <= groups_max, got groups_min = "
                f"{self.groups_min} and groups_max = {self.groups_max}; "
                "correct [seed] in study.toml"
            )
        if not 0 <= self.group_weight <= 1:
            raise SettingsError(
                f"expected a group_weight in 0..1, got {self.group_weight}; "
                "correct [seed] in study.toml"
            )


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """How the loop is played.

    Raises
    ------
    SettingsError
        When a number is out of its range.
    """

    rounds: int = field(default=4, metadata={"doc": "rounds of labelling", "ge": 1})
    batch: int = field(default=10, metadata={"doc": "images labelled a round", "ge": 1})
    seeds: int = field(default=5, metadata={"doc": "repetitions, averaged", "ge": 1})
    held_out: float = field(
        default=0.3,
        metadata={"doc": "share of the groups kept for measuring", "gt": 0.0, "lt": 1.0},
    )

    def __post_init__(self) -> None:
        if min(self.rounds, self.batch, self.seeds) < 1 or not 0 < self.held_out < 1:
            raise SettingsError(
                "expected rounds, batch and seeds of 1 or more and held_out between 0 and 1, "
                f"got {self}; correct [simulate] in study.toml"
            )
