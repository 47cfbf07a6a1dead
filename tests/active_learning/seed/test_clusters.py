"""Groups to name: found, described, split, written and read back."""

from __future__ import annotations

import numpy as np
import pytest
from support.described_objects import plain, published, study, table_of
from threadpoolctl import threadpool_limits

from active_learning.classification import Classification
from active_learning.classifier.examples import take_rows
from active_learning.seed.clusters import (
    BY_DRAFT,
    Clusters,
    clusters_from_members,
    clusters_of,
    split_clusters,
)
from active_learning.seed.clusters_csv import (
    NamedCluster,
    read_clusters,
    read_members,
    write_clusters,
    write_members,
)
from active_learning.seed.kmeans import best_partition, squared_distances
from active_learning.seed.scaling import fit_scaling
from active_learning.seed.seed_model import SeedModel, fit_seed
from annotator.core.classes import BG, BONE, CELL, FAT
from annotator.core.errors import ModelError, UsageError
from annotator.core.labels import MIXED, SKIP
from annotator.settings.learning import SeedSettings
from features.describe import own_features
from features.table import FeatureTable

TRUTH = np.tile([BG, FAT, CELL, BONE], 40)


def groups(table: FeatureTable, least: int, most: int | None = None) -> SeedModel:
    """The seed groups of a table, so many of them."""
    return fit_seed(table, SeedSettings(groups_min=least, groups_max=most or least))


def cut(table: FeatureTable, count: int) -> Clusters:
    """A table in so many clusters: no object leaves its group."""
    settings = SeedSettings(groups_min=count, groups_max=count, group_weight=1.0)
    return clusters_of(fit_seed(table, settings), table)


@pytest.fixture(scope="module")
def table():
    return study(spread=0.01)


@pytest.fixture(scope="module")
def model(table):
    return groups(table, 4, 6)


@pytest.fixture(scope="module")
def clusters(table, model):
    return clusters_of(model, table)


# The seed groups, shown


def test_clusters_are_the_groups_that_gave_the_first_classes(table, model, clusters):
    names = model.cluster_names()
    assert [clusters.names[at] for at in clusters.member] == [
        names[at] for at in model.cluster_of(table)
    ]
    assert np.array_equal(clusters.codes[clusters.member], model.classify(table).codes)


def test_every_cluster_is_named_by_the_class_that_it_holds(clusters):
    right = clusters.codes[clusters.member] == TRUTH
    assert right.mean() >= 0.95
    # the estimate, which knows no truth, is the share that is right
    share = np.bincount(clusters.member, right) / clusters.sizes
    assert clusters.purity == pytest.approx(share)


def test_clusters_are_numbered_from_1_largest_first(clusters):
    assert clusters.names == tuple(str(n) for n in range(1, len(clusters) + 1))
    assert sorted(clusters.sizes, reverse=True) == clusters.sizes.tolist()
    assert clusters.sizes.sum() == 160


def test_a_part_of_the_objects_is_shown_under_the_same_names(table, model, clusters):
    rows = np.flatnonzero(TRUTH == FAT)
    part = clusters_of(model, take_rows(table, rows))
    assert 0 < len(part) < len(clusters)
    assert [part.names[at] for at in part.member] == [
        clusters.names[at] for at in clusters.member[rows]
    ]
    assert part.sizes.min() > 0


def test_the_few_that_look_unlike_their_group_are_shown_together(table):
    few = table_of(np.concatenate([table.X[TRUTH != BONE], plain("bone", "bone").X]))
    model = groups(few, 2)
    found = clusters_of(model, few)
    assert BONE not in model.class_codes()
    last = len(found) - 1
    assert found.names[last] == "6"  # after two groups, and those who left for bg, fat or cell
    assert found.codes[last] == BONE
    assert found.rows(last).tolist() == [120, 121]


def test_typical_objects_lie_near_the_centre_and_borderline_ones_near_another(table, clusters):
    rows = clusters.rows(0)
    assert clusters.typical(0, 3).tolist() == rows[np.argsort(clusters.distance[rows])][:3].tolist()
    worst = clusters.borderline(0, 3)
    assert clusters.ambiguity[worst[0]] == clusters.ambiguity[rows].max()
    assert 0 <= clusters.ambiguity.min() <= clusters.ambiguity.max() <= 1
    assert len(clusters.typical(0, 999)) == clusters.sizes[0]


def test_typical_objects_can_be_spread_over_the_images(clusters):
    images = np.where(np.arange(160) < 120, "a", "b")
    near = clusters.typical(0, 4, images)
    assert sorted(images[near]) == ["a", "a", "b", "b"]
    assert near[0] == clusters.typical(0, 1)[0]
    assert set(clusters.borderline(0, 999, images)) == set(clusters.rows(0))


def test_an_object_between_two_classes_is_borderline(table):
    between = (plain("fat").X + plain("bone").X) / 2
    found = cut(table_of(np.concatenate([table.X, between])), 4)
    assert found.borderline(int(found.member[160]), 1).tolist() == [160]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_objects_are_grouped_too(count):
    few = plain(*["fat", "cell", "bone"][:count])
    assert cut(few, 4).sizes.sum() == count


def test_objects_that_are_all_alike_make_one_cluster():
    found = cut(plain(*["fat"] * 20), 4)
    assert (len(found), found.codes.tolist()) == (1, [FAT])


def test_no_objects_are_refused(model):
    with pytest.raises(ModelError, match="annotate at least one image"):
        clusters_of(model, table_of(np.zeros((0, plain("fat").X.shape[1]))))


def test_objects_with_other_features_are_refused(model):
    with pytest.raises(ModelError, match="other features"):
        clusters_of(model, published())


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_objects_give_the_same_bits(table, clusters, threads):
    with threadpool_limits(limits=threads):
        again = clusters_of(groups(table, 4, 6), table)
    assert again.distance.tobytes() == clusters.distance.tobytes()
    assert again.ambiguity.tobytes() == clusters.ambiguity.tobytes()


def test_clusters_of_an_older_table_are_measured_by_their_members(table, clusters):
    found = clusters_from_members(table, ("7", "3"), (TRUTH == FAT).astype(np.int64))
    assert found.names == ("7", "3")
    assert found.codes[1] == FAT and found.purity[1] == 1.0
    assert found.purity[0] < 1.0
    points = fit_scaling(own_features(table))(own_features(table))
    centre = points[TRUTH == FAT].mean(axis=0)
    rows = found.rows(1)
    assert found.distance[rows] == pytest.approx(np.linalg.norm(points[rows] - centre, axis=1))


# k-means and scaling


def test_three_clouds_are_three_groups():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(at, 0.1, (20, 2)) for at in (0, 5, 10)])
    found = best_partition(points, range(2, 6), 0)
    assert len(found.centres) == 3
    assert [len(set(found.member[at : at + 20].tolist())) for at in (0, 20, 40)] == [1, 1, 1]
    assert [k for k, _ in found.silhouettes] == [2, 3, 4, 5]
    assert max(found.silhouettes, key=lambda tried: tried[1])[0] == 3


def test_no_number_to_try_is_refused():
    with pytest.raises(ValueError):
        best_partition(np.zeros((3, 1)), [], 0)


def test_squared_distances_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    assert squared_distances(a, b) == pytest.approx(((a[:, None] - b) ** 2).sum(axis=2))


def test_scaling_passes_over_what_is_missing_or_constant():
    X = np.array([[1.0, 5.0, np.nan], [2.0, 5.0, np.nan], [np.nan, 5.0, np.nan]])
    assert fit_scaling(X)(X)[:, 1:].tolist() == [[0.0, 0.0]] * 3
    assert np.isfinite(fit_scaling(X)(X)).all()


# Split


def test_a_mixed_cluster_is_split_and_the_others_stay(table):
    two = cut(table, 2)
    split = split_clusters(table, two, {"1": 3}, 0)
    assert split.names == ("1.1", "1.2", "1.3", "2")
    assert np.array_equal(split.rows(3), two.rows(1))
    assert split.sizes[:3].sum() == two.sizes[0]
    assert set(split.codes[split.member].tolist()) >= set(two.codes.tolist())
    again = split_clusters(table, split, {"1.2": 2}, 0)
    assert again.names == ("1.1", "1.2.1", "1.2.2", "1.3", "2")


def test_a_mixed_cluster_is_cut_by_the_classes_of_the_draft(table):
    two = cut(table, 2)
    draft = Classification.of(np.log(np.eye(4)[TRUTH] + 0.01))
    split = split_clusters(table, two, {"1": BY_DRAFT}, 0, draft)
    here = np.unique(TRUTH[two.rows(0)])
    assert len(here) > 1
    assert split.names == (*(f"1.{part}" for part in range(1, len(here) + 1)), "2")
    for part, code in enumerate(here):
        assert split.codes[part] == code
        assert split.purity[part] == 1.0
        assert set(split.rows(part)) == {row for row in two.rows(0) if TRUTH[row] == code}
    assert np.array_equal(split.rows(len(here)), two.rows(1))


def test_equal_objects_cannot_be_split():
    alike = plain(*["fat"] * 6)
    one = cut(alike, 2)
    assert split_clusters(alike, one, {"1": 4}, 0).names == ("1.1",)


def test_a_cluster_that_does_not_exist_cannot_be_split(table, clusters):
    with pytest.raises(KeyError, match="99"):
        split_clusters(table, clusters, {"99": 2}, 0)


# The table to correct


def test_the_table_is_read_back_as_it_was_written(clusters):
    read = read_clusters(write_clusters(clusters), clusters.names)
    assert [(one.cluster, one.code, one.parts) for one in read] == [
        (name, code, 0) for name, code in zip(clusters.names, clusters.codes, strict=True)
    ]


def test_a_person_renames_splits_and_leaves_out():
    text = "Cluster;Class;Size;Purity;Split\r\n2; BONE ;9;0,8;\r\n\r\n1;;3;;4\r\n3;mixed;;;\r\n"
    assert read_clusters(text.encode("utf-16"), ("1", "2", "3")) == (
        NamedCluster("1", SKIP, 4),
        NamedCluster("2", BONE),
        NamedCluster("3", MIXED),
    )
    by_draft = read_clusters(b"cluster,class,split\n1,,Draft\n", ("1",))
    assert by_draft == (NamedCluster("1", SKIP, BY_DRAFT),)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("9,fat,", "row 2: .*1, 2.*'9'"),
        ("1,adipocyte,", "row 2: .*bg, fat, cell, bone, mixed, skip.*'adipocyte'"),
        ("1,fat,1", "row 2: .*2-64 .*'1'"),
        ("1,fat,many", "row 2: .*2-64 .*draft.*'many'"),
        ("1,fat,\n1,cell,", "row 3: .*1 "),
        ("1,fat,", " 2 clusters.* 2"),
    ],
)
def test_each_bad_row_is_named(row, what):
    with pytest.raises(UsageError, match=what):
        read_clusters(f"cluster,class,split\n{row}\n".encode(), ("1", "2"))


def test_all_faults_are_named_at_once():
    with pytest.raises(UsageError) as caught:
        read_clusters(b"cluster,class\n7,fat\n2,adipocyte\n", ("1", "2"))
    assert "row 2: " in str(caught.value)
    assert "row 3: " in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"name,class\n1,fat\n", b'cluster,class\n"1,fat\n'])
def test_what_is_no_such_table_is_refused(data):
    with pytest.raises(UsageError):
        read_clusters(data, ("1",))


def test_members_are_read_back(table, clusters):
    members = read_members(write_members(table, clusters))
    assert len(members) == 160
    assert members["field", 1] == clusters.names[clusters.member[0]]


def test_damaged_members_are_refused():
    with pytest.raises(UsageError, match=r"row 2.*'field'.*'x'"):
        read_members(b"image,object,cluster\nfield,x,1\n")


# Impure clusters


def mixed_clusters(table: FeatureTable) -> Clusters:
    """Cluster 1 is all fat, of cluster 2 half is cell in the draft, a quarter bg and bone each."""
    member = (TRUTH != FAT).astype(np.int64)
    codes = np.where(TRUTH == FAT, FAT, np.tile([BG, FAT, CELL, CELL, CELL, FAT, BONE, CELL], 20))
    codes = codes.astype(np.uint8)
    probabilities = np.eye(4)[codes]
    draft = Classification(codes, np.ones(len(codes)), probabilities)
    return clusters_from_members(table, ("1", "2"), member, draft)


def test_a_cluster_looks_like_what_its_members_are_in_the_draft(table):
    found = mixed_clusters(table)
    assert found.codes.tolist() == [FAT, CELL]
    assert found.purity == pytest.approx([1.0, 4 / 6])
    assert found.impure.tolist() == [False, True]


def test_the_class_of_an_impure_cluster_is_left_to_a_person_and_comes_first(table):
    clusters = mixed_clusters(table)
    lines = write_clusters(clusters).decode("utf-8-sig").splitlines()
    assert lines == [
        "cluster,class,looks_like,size,purity,split",
        "2,,cell,120,0.67,",
        "1,fat,fat,40,1.00,",
    ]
    one, two = read_clusters(write_clusters(clusters), ("1", "2"))
    assert (one.code, one.looks_like) == (FAT, FAT)
    assert (two.code, two.looks_like) == (SKIP, CELL)
    named = write_clusters(clusters, {"2": MIXED}).decode("utf-8-sig").splitlines()
    assert named[1] == "2,mixed,cell,120,0.67,"
