"""Where a process gets its proposer from, without loading what it does not need."""

from __future__ import annotations

import pickle

import pytest

from annotator.errors import UsageError, WeightsError
from annotator.proposer_sources import SuperpixelSource, cached_proposer, proposer_source
from annotator.results import AnnotateOptions
from annotator.settings import Settings


def test_the_default_needs_no_weights():
    source = proposer_source(Settings(), AnnotateOptions())
    assert isinstance(source, SuperpixelSource)
    assert source.fingerprint == source.make().fingerprint
    assert source.make().name == "superpixel"


def test_a_process_makes_its_proposer_once():
    source = proposer_source(Settings(), AnnotateOptions())
    travelled = pickle.loads(pickle.dumps(source))
    assert cached_proposer(source) is cached_proposer(travelled)


def test_missing_weights_are_said_before_any_work(tmp_path):
    options = AnnotateOptions(proposals="sam", checkpoint=str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match=r"none\.pth"):
        proposer_source(Settings(), options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (AnnotateOptions(proposals="magic"), "superpixel, sam or auto, got 'magic'"),
        (AnnotateOptions(checkpoint="vit_b"), "only used with --proposals sam"),
    ],
)
def test_what_cannot_be_is_refused(options: AnnotateOptions, said: str):
    with pytest.raises(UsageError, match=said):
        proposer_source(Settings(), options)
