"""A small study that a segmentation network saw, be it one of chance."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.learning_studies import QUICK, make_study
from support.random_networks import random_decoder

from annotator.segmentation.network.network_file import write_network

SETTINGS = QUICK + "[seed]\ngroups_min = 3\ngroups_max = 3\n"


@pytest.fixture(scope="session")
def seen_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six fields that a network saw, in which a committee chooses; masks lie beside the study."""
    folder = tmp_path_factory.mktemp("seen")
    network = folder / "chance.safetensors"
    write_network(network, random_decoder(), {"name": "chance"})
    own = f'[network]\nuse = "{network.as_posix()}"\n[query]\nstrategy = "committee"\n'
    return make_study(folder, 6, SETTINGS + own)
