"""The segmentation network in the line: which one a run uses, and what it sees.

The choice stands in ``study.toml``, and a run that makes another one writes it there: all
that works on the same objects (retrain, review, next) must find the same features. The
network's libraries are imported where a network is used, and nowhere else.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UsageError
from annotator.imaging.appearance import Appearance
from annotator.pipeline.results import AnnotateOptions
from annotator.settings.change import PRESETS, has_table
from annotator.settings.network import FILE_ENDING, NO_NETWORK, NetworkSettings
from annotator.study.chosen_network import ChosenNetwork
from annotator.study.study import Study

if TYPE_CHECKING:
    from annotator.segmentation.network.prediction import NetworkPredictor


NO_TABLE = (
    "this study was made before there was a segmentation network, and goes on without one; "
    "trephine annotate --network starter gives better first drafts, with objects made anew "
    "(labels move to them)"
)


def choose_line(study: Study, options: AnnotateOptions) -> tuple[str, ...]:
    """Write the network and the preset that a run asks for into ``study.toml``.

    A file that says nothing of networks gets a line that it goes on without one, so that
    its user is told once of the other way.

    Parameters
    ----------
    study : Study
        Held for writing.
    options : AnnotateOptions

    Returns
    -------
    tuple of str
        What the user should be told.

    Raises
    ------
    UsageError
        When there is no such preset, or both are asked for and contradict each other.
    SettingsError
        When there is no such network.
    ModelError
        When the network cannot be used; nothing is written then.
    """
    if options.preset is not None:
        if options.preset not in PRESETS:
            known = " or ".join(PRESETS)
            raise UsageError(f"expected the preset {known}, got {options.preset!r}")
        if options.network is not None and options.preset == "bambo":
            raise UsageError(
                "the preset bambo is the published line, which has no network; leave --network "
                "or --preset out"
            )
        study.change_settings(PRESETS[options.preset])
    if options.network is not None:
        use = _absolute(options.network)
        NetworkSettings(use)
        study.network_named(use)
        study.change_settings({"network": {"use": use}})
    if has_table(study.path / "study.toml", "network"):
        return ()
    study.change_settings({"network": {"use": NO_NETWORK}})
    return (NO_TABLE,)


def _absolute(use: str) -> str:
    """A file of the command line by its whole path; names as they are."""
    return str(Path(use).expanduser().absolute()) if use.endswith(FILE_ENDING) else use


def seen_by_network(appearance: Appearance, chosen: ChosenNetwork) -> Appearance:
    """What an image looks like, with the probabilities of a network.

    Parameters
    ----------
    appearance : Appearance
    chosen : ChosenNetwork
    """
    predictor = cached_predictor(chosen)
    pixels, um = appearance.image.pixels, predictor.scale_of(appearance)
    return appearance.seen_by(chosen.fingerprint, predictor.probabilities(pixels, um))


@lru_cache(maxsize=1)
def cached_predictor(chosen: ChosenNetwork) -> NetworkPredictor:
    """The network of this process, loaded once; on one thread, as workers share the cores."""
    from annotator.segmentation.network.prediction import NetworkPredictor

    return NetworkPredictor(chosen.read(), threads=1)
