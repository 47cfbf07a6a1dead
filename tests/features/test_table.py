"""The table type."""

import numpy as np
import pytest

from features.table import FeatureTable, concatenate, fingerprint


def table(names: tuple[str, ...] = ("a", "b"), rows: int = 2) -> FeatureTable:
    return FeatureTable(
        np.array(["x"] * rows),
        np.arange(1, rows + 1, dtype=np.int32),
        np.arange(rows * len(names), dtype=np.float64).reshape(rows, len(names)),
        names,
        fingerprint(names, "s"),
    )


def test_columns_by_name_and_read_only() -> None:
    made = table()
    assert made.column("b").tolist() == [1, 3]
    with pytest.raises(ValueError, match="read-only"):
        made.X[0, 0] = 5


def test_fingerprint_depends_on_names_order_and_settings() -> None:
    prints = {fingerprint(("a", "b"), "s"), fingerprint(("b", "a"), "s"), fingerprint(("a",), "s")}
    assert len(prints | {fingerprint(("a", "b"), "t")}) == 4


def test_concatenate_keeps_rows_and_refuses_others() -> None:
    joined = concatenate([table(), table(rows=3)])
    assert len(joined) == 5
    assert joined.object_ids.tolist() == [1, 2, 1, 2, 3]
    for bad in ([], [table(), table(("a", "c"))]):
        with pytest.raises(ValueError, match="fingerprint"):
            concatenate(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((2, 3))}, "X"),
        ({"image_ids": np.array([1, 2])}, "image_ids"),
        ({"object_ids": np.arange(2)}, "object_ids"),
        ({"names": ("a", "a")}, "differ"),
    ],
)
def test_wrong_shapes_are_refused(change: dict[str, object], message: str) -> None:
    good = table()
    fields = {name: getattr(good, name) for name in FeatureTable.__slots__} | change
    with pytest.raises(ValueError, match=message):
        FeatureTable(**fields)
