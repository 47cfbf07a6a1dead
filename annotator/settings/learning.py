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
