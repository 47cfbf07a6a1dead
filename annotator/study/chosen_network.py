"""The segmentation network that a study's settings name, found without loading it.

A small description goes to the workers; the network is read where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from annotator.core.errors import ModelError
from annotator.core.hashing import fingerprint
from annotator.segmentation.network.architecture import PREDICTION_VERSION
from annotator.segmentation.network.network_file import (
    SegmentationNetwork,
    read_network,
    starter_network,
)
from annotator.settings.network import NO_NETWORK, OWN, STARTER

# Raised whenever the same probabilities would give other objects or features.
VERSION = 1


@dataclass(frozen=True, slots=True)
class ChosenNetwork:
    """A network by where its file lies.

    Parameters
    ----------
    sha256 : str
        Of the file of its decoder.
    path : Path or None
        None for the starter, which lies in the package.
    """

    sha256: str
    path: Path | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits; changes whenever the same image could get other probabilities.

        Studies hold it in the keys of objects and features.
        """
        return fingerprint("network", VERSION, PREDICTION_VERSION, self.sha256)

    def read(self) -> SegmentationNetwork:
        """Read the network.

        Raises
        ------
        ModelError
            When a file of it is missing, damaged, or another one by now.
        """
        network = starter_network() if self.path is None else read_network(self.path)
        if network.sha256 != self.sha256:
            raise ModelError(f"{self.path}: another network lies there now; run again")
        return network


def chosen_network(
    use: str, study: Path, own: Callable[[], ChosenNetwork | None]
) -> ChosenNetwork | None:
    """The network behind ``[network] use``; None where there is to be none.

    Parameters
    ----------
    use : str
        As in ``study.toml``.
    study : Path
        Its folder; the path of a file may begin there.
    own : callable
        Gives the study's own network, or None.

    Raises
    ------
    ModelError
        When it is not there, or cannot be used.
    """
    if use == NO_NETWORK:
        return None
    if use == STARTER:
        return _starter()
    if use == OWN:
        found = own()
        if found is None:
            raise ModelError(
                f"{study}: this study has no network of its own yet; make one with trephine "
                f"network train {study}, or annotate with --network {STARTER}"
            )
        return found
    path = study / Path(use).expanduser()
    return ChosenNetwork(read_network(path).sha256, path)


@cache
def _starter() -> ChosenNetwork:
    return ChosenNetwork(starter_network().sha256)
