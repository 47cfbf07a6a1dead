from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

from active_learning.classifier.evaluation import ClassEvaluation, compare, evaluate
from annotator.settings.learning import TrainSettings

SETTINGS = TrainSettings(resamples=300)


def sure(given, confidence: float = 1.0):
    """Probabilities that give these classes, the rest shared."""
    rest = (1 - confidence) / 3
    return np.where(np.arange(4) == np.asarray(given)[:, None], confidence, rest)


def drawn(count: int = 400, right: float = 0.8, seed: int = 0, groups: int = 10):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 4, count).astype(np.uint8)
    slip = generator.random(count) > right
    given = np.where(slip, generator.integers(0, 4, count), codes)
    return codes, given, np.array([f"g{at % groups}" for at in range(count)])


def test_figures_are_those_of_scikit_learn():
    codes, given, groups = drawn()
    found = evaluate(codes, sure(given), groups, SETTINGS)
    precision, recall, f1, support = precision_recall_fscore_support(codes, given)
    assert found.accuracy.value == pytest.approx((codes == given).mean())
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(codes, given))
    assert found.macro_f1.value == pytest.approx(f1_score(codes, given, average="macro"))
    assert [one.name for one in found.classes] == ["bg", "fat", "cell", "bone"]
    assert [one.precision for one in found.classes] == pytest.approx(precision)
    assert [one.recall for one in found.classes] == pytest.approx(recall)
    assert [one.f1 for one in found.classes] == pytest.approx(f1)
    assert [one.support for one in found.classes] == support.tolist()
    assert np.array_equal(np.sum(found.confusion, axis=1), support)
    assert (found.objects, found.groups) == (400, 10)


def test_absent_classes_do_not_enter_the_means():
    codes = np.array([1, 1, 2, 2], np.uint8)
    found = evaluate(codes, sure([1, 1, 2, 3]), np.array(["a", "b", "a", "b"]), SETTINGS)
    assert found.macro_f1.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.balanced_accuracy.value == pytest.approx(0.75)
    bg, bone = found.classes[0], found.classes[3]
    assert (bg.precision, bg.recall, bg.f1, bg.support) == (None, None, None, 0)
    assert (bone.precision, bone.recall, bone.f1) == (0.0, None, None)


def test_calibration_error_by_hand():
    codes = np.array([0, 0, 0, 0, 1], np.uint8)
    confidence = np.array([0.92, 0.92, 0.92, 0.61, 0.61])
    given = np.array([0, 0, 1, 0, 0])
    probabilities = np.concatenate([sure([g], c) for g, c in zip(given, confidence, strict=True)])
    found = evaluate(codes, probabilities, np.full(5, "a"), SETTINGS)
    assert found.ece == pytest.approx(3 / 5 * (0.92 - 2 / 3) + 2 / 5 * (0.61 - 0.5))
    filled = {one.low: one for one in found.reliability if one.count}
    assert sorted(filled) == [0.6, 0.9]
    assert filled[0.9].count == 3
    assert filled[0.9].accuracy == pytest.approx(2 / 3)
    assert filled[0.9].confidence == pytest.approx(0.92)
    assert len(found.reliability) == 10
    assert found.reliability[0].confidence is None


def test_certainty_is_in_the_last_bar():
    found = evaluate(np.zeros(3, np.uint8), sure([0, 0, 0]), np.full(3, "a"), SETTINGS)
    assert found.reliability[-1].count == 3
    assert found.ece == 0


def test_an_interval_holds_the_figure_and_narrows_with_more_groups():
    few, many = drawn(groups=4), drawn(count=4000, groups=100)
    widths = []
    for codes, given, groups in (few, many):
        score = evaluate(codes, sure(given), groups, SETTINGS).accuracy
        assert score.low < score.value < score.high
        widths.append(score.high - score.low)
    assert widths[1] < widths[0]


def test_the_interval_is_of_groups_not_objects():
    # each group is all right or all wrong: 100 objects a group tell no more than one
    codes = np.zeros(1000, np.uint8)
    groups = np.repeat([f"g{at}" for at in range(10)], 100)
    given = np.repeat([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], 100)
    score = evaluate(codes, sure(given), groups, SETTINGS).accuracy
    assert score.high - score.low > 0.4


def test_groups_that_agree_have_no_spread():
    codes = np.tile(np.arange(4, dtype=np.uint8), 6)
    groups = np.repeat([f"g{at}" for at in range(6)], 4)
    score = evaluate(codes, sure(codes), groups, SETTINGS).macro_f1
    assert (score.low, score.value, score.high) == (1.0, 1.0, 1.0)


@pytest.mark.slow
def test_the_bootstrap_matches_one_that_draws_rows():
    codes, given, groups = drawn(groups=5)
    generator = np.random.default_rng(SETTINGS.random_state)
    times = generator.multinomial(5, np.full(5, 0.2), size=SETTINGS.resamples)
    names = np.unique(groups)
    slow = []
    for row in times:
        picked = np.concatenate(
            [np.flatnonzero(groups == name).repeat(n) for name, n in zip(names, row, strict=True)]
        )
        slow.append(f1_score(codes[picked], given[picked], average="macro"))
    found = evaluate(codes, sure(given), groups, SETTINGS).macro_f1
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_one_group_gives_no_interval():
    codes, given, _ = drawn()
    score = evaluate(codes, sure(given), np.full(400, "only"), SETTINGS).accuracy
    assert score.low is None
    assert score.high is None


def test_it_survives_json_with_its_notes():
    codes, given, groups = drawn()
    codes[codes == 3] = 2
    found = evaluate(codes, sure(given), groups, SETTINGS, notes=["few groups"])
    back = ClassEvaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert back == found
    assert back.notes == ("few groups",)


@pytest.mark.parametrize("key", ["accuracy", "classes", "reliability", "notes", "objects"])
def test_a_damaged_evaluation_is_refused(key):
    codes, given, groups = drawn()
    content = evaluate(codes, sure(given), groups, SETTINGS).to_dict()
    del content[key]
    with pytest.raises(KeyError):
        ClassEvaluation.from_dict(content)


def test_the_same_every_time_and_another_seed_differs():
    codes, given, groups = drawn()
    first = evaluate(codes, sure(given), groups, SETTINGS)
    assert evaluate(codes, sure(given), groups, SETTINGS) == first
    other = evaluate(codes, sure(given), groups, replace(SETTINGS, random_state=1))
    assert other.accuracy.value == first.accuracy.value
    assert other.accuracy != first.accuracy


@pytest.mark.parametrize(
    ("codes", "probabilities", "groups"),
    [
        (np.zeros(0, np.uint8), np.zeros((0, 4)), np.zeros(0, "<U1")),
        (np.zeros(2, np.uint8), np.zeros((2, 3)), np.full(2, "a")),
        (np.zeros(2, np.uint8), np.zeros((2, 4)), np.full(3, "a")),
    ],
)
def test_what_does_not_fit_together_is_refused(codes, probabilities, groups):
    with pytest.raises(ValueError, match=r"\(\d, 4\).*\(\d,\)"):
        evaluate(codes, probabilities, groups, SETTINGS)
    with pytest.raises(ValueError, match=r"\(\d, 4\).*\(\d,\)"):
        compare(codes, probabilities, probabilities, groups, SETTINGS)


def test_a_clear_difference_is_better_one_way_and_worse_the_other():
    codes, good, groups = drawn(right=0.95)
    bad = drawn(right=0.6)[1]
    up = compare(codes, sure(good), sure(bad), groups, SETTINGS)
    down = compare(codes, sure(bad), sure(good), groups, SETTINGS)
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert up.difference.value == pytest.approx(up.new - up.old)
    assert up.difference.value == -down.difference.value
    assert up.difference.low > 0


def test_a_model_is_level_with_itself():
    codes, given, groups = drawn()
    same = compare(codes, sure(given), sure(given), groups, SETTINGS)
    assert (same.difference.low, same.difference.high, same.verdict) == (0, 0, "level")


def test_pairing_finds_a_small_but_steady_gain():
    # one object more a group is right, whatever the groups' own level
    codes, given, groups = drawn(count=2000, right=0.7, groups=20)
    better = given.copy()
    for name in np.unique(groups):
        better[np.flatnonzero((groups == name) & (given != codes))[:4]] = 255
    better = np.where(better == 255, codes, better)
    found = compare(codes, sure(better), sure(given), groups, SETTINGS)
    alone = evaluate(codes, sure(better), groups, SETTINGS).macro_f1
    assert found.verdict == "better"
    assert found.difference.high - found.difference.low < alone.high - alone.low


def test_one_group_alone_cannot_decide():
    codes = np.zeros(20, np.uint8)
    found = compare(codes, sure(codes), sure(codes + 1), np.full(20, "a"), SETTINGS)
    assert (found.verdict, found.difference.low) == ("level", None)
    assert math.isclose(found.difference.value, 1.0)
