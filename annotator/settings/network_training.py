"""How a study's own segmentation network learns, and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from annotator.core.errors import SettingsError
from annotator.settings.bounds import MOST_RANDOM_STATE, check_bounds, setting_error

LOSSES = ("dice+cross-entropy", "dice")
SCHEDULES = ("one-cycle", "constant")
VARIATIONS = ("stain", "brightness")
PRECISIONS = ("auto", "float32", "bfloat16")
_STRIDE = 32

PRESETS: dict[str, dict[str, Any]] = {
    # As published: Dice alone, AdamW at a fixed rate, brightness and flips. The two scales are
    # those that prediction looks at.
    "bambo": {
        "finest_um": 1.0,
        "coarsest_um": 2.0,
        "variation": "brightness",
        "loss": "dice",
        "schedule": "constant",
        "learning_rate": 1e-4,
        "weight_decay": 0.01,
        "batch": 8,
        "epochs": 140,
        "patience": 10,
        "averaged": False,
    },
}


@dataclass(frozen=True, slots=True)
class NetworkTrainSettings:
    """How a segmentation network learns from fields whose classes are known.

    Patches are cut out of the fields and seen by the frozen encoder once; the decoder then
    learns from what it saw, epoch after epoch.

    Raises
    ------
    SettingsError
        When a value is out of its range.

    Examples
    --------
    >>> NetworkTrainSettings.preset("bambo").loss
    'dice'
    """

    patch_px: int = field(
        default=256,
        metadata={"doc": "side of a patch, px, a multiple of 32", "ge": 64, "le": 1024},
    )
    patches: int = field(
        default=40,
        metadata={"doc": "patches cut out of each field; about 1 MB on disk each", "ge": 1},
    )
    finest_um: float = field(
        default=0.4, metadata={"doc": "finest scale of a patch, um/px", "gt": 0.0, "le": 1.0}
    )
    coarsest_um: float = field(
        default=8.0, metadata={"doc": "coarsest scale of a patch, um/px", "ge": 1.0, "le": 20.0}
    )
    variation: str = field(
        default="stain",
        metadata={
            "doc": "how the look of a patch is varied: stain (with angle, sharpness, noise and "
            "compression, as between laboratories) or brightness (and flips, as published)",
            "choices": VARIATIONS,
        },
    )
    loss: str = field(
        default="dice+cross-entropy",
        metadata={"doc": "what training makes small", "choices": LOSSES},
    )
    schedule: str = field(
        default="one-cycle",
        metadata={
            "doc": "learning rate: one-cycle (up, then down to almost nothing) or constant",
            "choices": SCHEDULES,
        },
    )
    learning_rate: float = field(
        default=3e-3, metadata={"doc": "the highest learning rate", "gt": 0.0, "le": 1.0}
    )
    weight_decay: float = field(
        default=1e-3, metadata={"doc": "weight decay of AdamW", "ge": 0.0, "le": 1.0}
    )
    batch: int = field(
        default=8, metadata={"doc": "patches in a step of training", "ge": 1, "le": 256}
    )
    epochs: int = field(
        default=6,
        metadata={"doc": "times that every patch is learned from, at most", "ge": 1, "le": 10000},
    )
    patience: int = field(
        default=5,
        metadata={
            "doc": "stop after so many epochs without a better Dice on patients of its own; 0: "
            "never before the end",
            "ge": 0,
        },
    )
    averaged: bool = field(
        default=True,
        metadata={"doc": "keep the moving average of the weights, which errs less"},
    )
    folds: int = field(
        default=5,
        metadata={"doc": "parts that the patients are dealt into to judge a network", "ge": 2},
    )
    validation: float = field(
        default=0.15,
        metadata={
            "doc": "share of the patients of each fold that tell when to stop; at least one "
            "patient, where there are three or more",
            "ge": 0.0,
            "le": 0.5,
        },
    )
    precision: str = field(
        default="auto",
        metadata={
            "doc": "numbers that training reckons in; auto: bfloat16 where the processor has it",
            "choices": PRECISIONS,
        },
    )
    threads: int = field(
        default=0,
        metadata={"doc": "CPU threads; 0 leaves the choice to torch", "ge": 0, "le": 1024},
    )
    random_state: int = field(
        default=0,
        metadata={
            "doc": "start of the random generator; the same start gives the same weights on one "
            "machine",
            "ge": 0,
            "le": MOST_RANDOM_STATE,
        },
    )

    def __post_init__(self) -> None:
        check_bounds(self, "network_train")
        if self.patch_px % _STRIDE:
            raise setting_error(
                "network_train", "patch_px", f"a multiple of {_STRIDE}", self.patch_px
            )

    @classmethod
    def preset(cls, name: str) -> NetworkTrainSettings:
        """Settings by name: ``default``, or ``bambo`` as published.

        Examples
        --------
        >>> NetworkTrainSettings.preset("bambo").epochs
        140
        """
        return cls().with_preset(name)

    def with_preset(self, name: str) -> NetworkTrainSettings:
        """These settings, with those that a preset stands for.

        Raises
        ------
        SettingsError
            When there is no such preset.
        """
        if name == "default":
            return self
        if name not in PRESETS:
            known = ", ".join(["default", *PRESETS])
            raise SettingsError(f"expected a preset of {known}, got {name!r}")
        return replace(self, **PRESETS[name])
