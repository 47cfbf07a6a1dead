"""The segmentation network in the line: which one a run uses, and what it sees.

The choice stands in ``study.toml``, and a run that makes another one writes it there: all
that works on the same objects (retrain, review, next) must find the same features. The
network's libraries are imported where a network is used, and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UsageError
from annotator.core.scale_source import FoundScale
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


def scale_in_picture(appearance: Appearance) -> FoundScale | None:
    """The scale that the starter network finds in an image; None where its file says one."""
    from annotator.segmentation.network.found_scale import found_scale, starter_predictor

    if appearance.image.um_per_px is not None:
        return None
    return found_scale(starter_predictor(), appearance.image.pixels, appearance.white_reference)


def working_scale(appearance: Appearance) -> float:
    """Microns per pixel for a network: what the file says, else what the picture shows."""
    scale = scale_in_picture(appearance)
    return appearance.working_um_per_px if scale is None else scale.um_per_px


def at_found_scale(appearance: Appearance, scale: FoundScale | None) -> Appearance:
    """The appearance at the scale that was found in the picture; itself where none was."""
    return appearance if scale is None else replace(appearance, found_um_per_px=scale.um_per_px)


def seen_by_network(
    appearance: Appearance, chosen: ChosenNetwork, scale: FoundScale | None = None
) -> Appearance:
    """What an image looks like, with the probabilities of a network and the scale it is seen at.

    Parameters
    ----------
    appearance : Appearance
    chosen : ChosenNetwork
    scale : FoundScale, optional
        What :func:`scale_in_picture` found, where the caller asked already.
    """
    predictor = cached_predictor(chosen)
    scale = scale or scale_in_picture(appearance)
    appearance = at_found_scale(appearance, scale)
    planes = predictor.probabilities(appearance.image.pixels, appearance.working_um_per_px)
    return appearance.seen_by(chosen.fingerprint, planes)


@lru_cache(maxsize=1)
def cached_predictor(chosen: ChosenNetwork) -> NetworkPredictor:
    """The network of this process, loaded once; on one thread, as workers share the cores."""
    from annotator.segmentation.network.prediction import NetworkPredictor

    return NetworkPredictor(chosen.read(), threads=1)
