"""What ``trephine seed`` says of the clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learning.rounds.add_labels import Added
from active_learning.rounds.seed import SeedReport
from active_learning.rounds.seed_labels import AppliedReport, ImpureCluster
from annotator.cli.print_seed import print_applied, print_clusters


def printed(capsys: pytest.CaptureFixture[str], *missing: str) -> str:
    clusters = (("2", "fat", 721, 0.6), ("1", "cell", 2591, 0.93))
    report = SeedReport(Path("marrow/seed"), clusters, 3312, 13, missing=missing)
    print_clusters(report, Path("marrow"))
    return " ".join(capsys.readouterr().out.split())


def test_a_class_that_no_cluster_has_is_said_before_it_is_too_late(capsys):
    text = printed(capsys, "bg")
    assert "no cluster is clearly bg, which the drafts hold: a round would not know it." in text
    assert "Write draft under split" in text
    assert "clearly bg or bone, which the drafts hold: a round would not know them." in printed(
        capsys, "bg", "bone"
    )


def test_nothing_is_said_where_every_class_has_a_cluster(capsys):
    assert "Warning" not in printed(capsys)


def test_a_cluster_that_was_named_mixed_is_no_reason_to_warn(capsys):
    named = (
        ImpureCluster("2", "fat", 721, 0.6, "fat"),
        ImpureCluster("13", "fat", 5, 0.6, "mixed"),
    )
    print_applied(AppliedReport(Added(1, 726, 0), None, impure_named=named), None, Path("marrow"))
    warned = capsys.readouterr().out.split("Warning:")[1]
    assert "cluster 2: 721 objects" in warned
    assert "cluster 13" not in warned
