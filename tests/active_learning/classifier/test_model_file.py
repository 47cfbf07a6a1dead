from __future__ import annotations

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler
from support.labelled_objects import QUICK, blobs, rows_of

from active_learning.classifier.archive import dump_pipeline
from active_learning.classifier.model_file import load_model, save_model
from active_learning.classifier.training import fit
from annotator.core.errors import ModelError


@pytest.fixture(scope="module")
def model():
    return fit(blobs([20, 30, 25, 15]), QUICK)


@pytest.fixture
def stored(model):
    return save_model(model)


def signed(data: bytes, record: dict) -> dict:
    """The record as somebody would write it who wants these bytes to be loaded."""
    return record | {"sha256": hashlib.sha256(data).hexdigest()}


def rewritten(data: bytes, change) -> bytes:
    """The archive with its schema changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == "schema.json" else content)
    return buffer.getvalue()


def test_a_model_comes_back_whole(model, stored):
    data, record = stored
    back = load_model(data, json.loads(json.dumps(record, allow_nan=False)))
    rows = blobs([9, 9, 9, 9], seed=5).table
    assert np.array_equal(back.probabilities(rows), model.probabilities(rows))
    assert back.fingerprint == model.fingerprint
    assert back.features == model.features
    assert back.notes == model.notes
    assert save_model(back) == stored


def test_scores_are_kept_and_shape_nothing(model):
    _, record = save_model(model, {"macro_f1": 0.9})
    data, plain = save_model(model)
    assert record["scores"] == {"macro_f1": 0.9}
    assert plain["scores"] is None
    assert load_model(data, record).fingerprint == load_model(data, plain).fingerprint


def test_a_model_of_two_classes_and_the_published_one_come_back():
    for settings in (QUICK, type(QUICK)(classifier="bambo", inner_folds=2)):
        model = fit(blobs([0, 20, 20, 0]), settings)
        back = load_model(*save_model(model))
        rows = blobs([3, 3, 3, 3]).table
        assert np.array_equal(back.probabilities(rows), model.probabilities(rows))


def test_the_bytes_carry_no_time_and_no_addresses(model):
    assert dump_pipeline(model.pipeline) == dump_pipeline(model.pipeline)
    with zipfile.ZipFile(io.BytesIO(model.archive)) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        names = archive.namelist()
    arrays = len(names) - 1
    assert names == ["schema.json", *(f"{at:04d}.npy" for at in range(arrays))]


def test_a_table_of_other_features_is_refused(stored):
    with pytest.raises(ModelError, match=r"a{16}.*c{16}"):
        load_model(*stored).classify(rows_of(np.zeros((1, 5)), "c" * 16))


# Damaged


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_bytes_that_are_not_the_ones_written_are_refused(stored, cut):
    data, record = stored
    with pytest.raises(ModelError, match=f"sha256 {record['sha256'][:16]}"):
        load_model(data[:cut], record)


def test_a_changed_byte_is_refused(stored):
    data, record = stored
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    with pytest.raises(ModelError, match=f"sha256 {record['sha256'][:16]}"):
        load_model(bytes(changed), record)


@pytest.mark.parametrize("cut", [0, 10, 2000, -1])
def test_truncated_bytes_with_a_fitting_hash_are_refused(stored, cut):
    data, record = stored
    with pytest.raises(ModelError):
        load_model(data[:cut], signed(data[:cut], record))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"__loader__": 3}', b"\xff"])
def test_a_schema_that_is_none_is_refused(stored, content):
    data, record = stored
    broken = rewritten(data, lambda _: content)
    with pytest.raises(ModelError):
        load_model(broken, signed(broken, record))


@pytest.mark.parametrize("key", ["format", "version"])
def test_a_newer_model_is_refused(stored, key):
    data, record = stored
    with pytest.raises(ModelError, match=f"{key} 1 .*2"):
        load_model(data, record | {key: 2})
    for odd in (None, "1", True):
        with pytest.raises(ModelError, match=f"{key}.*{odd!r}"):
            load_model(data, record | {key: odd})


@pytest.mark.parametrize("key", ["features", "names", "settings", "labels", "sha256", "notes"])
def test_a_record_with_a_gap_is_refused(stored, key):
    data, record = stored
    del record[key]
    with pytest.raises(ModelError, match=key):
        load_model(data, record)


def test_a_record_of_another_model_is_refused(stored):
    data, record = stored
    with pytest.raises(ModelError, match=r"4 .*Pipeline of 5"):
        load_model(data, record | {"names": record["names"][:4]})


# Foreign


FOREIGN = {
    "forest": RandomForestClassifier(2).fit(np.eye(5), [0, 1, 0, 1, 0]),
    "function": make_pipeline(FunctionTransformer(np.sqrt)).fit(np.eye(5)),
    "own class": make_pipeline(RobustScaler(quantile_range=(np.float32(25), np.float32(75)))),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_type_that_no_model_of_ours_has_is_refused(stored, name):
    data = skops.io.dumps(FOREIGN[name])
    with pytest.raises(ModelError, match=r"\(\w+Node\)"):
        load_model(data, signed(data, stored[1]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            b'"__class__": "clip", "__module__": "numpy"',
            b'"__class__": "system", "__module__": "os"',
        ),
        (b'"FunctionNode"', b'"MethodNode"'),
        (b'"__class__": "SVC"', b'"__class__": "NuSVC"'),
        (b'"__module__": "sklearn.svm._classes"', b'"__module__": "elsewhere"'),
    ],
)
def test_a_crafted_schema_is_refused_before_anything_is_built(stored, old, new):
    data, record = stored

    def change(schema: bytes) -> bytes:
        assert old in schema
        return schema.replace(old, new)

    crafted = rewritten(data, change)
    with pytest.raises(ModelError, match=r"\(\w+Node\)"):
        load_model(crafted, signed(crafted, record))


def test_allowed_types_that_make_no_classifier_are_refused(stored):
    data = dump_pipeline(RobustScaler().fit(np.zeros((3, 5))))
    with pytest.raises(ModelError, match=r"5 .*RobustScaler"):
        load_model(data, signed(data, stored[1]))


def test_a_pickle_inside_is_not_read(stored):
    data, record = stored
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            inner = io.BytesIO()
            np.save(inner, np.array([print], dtype=object), allow_pickle=True)
            new.writestr(name, old.read(name) if name == "schema.json" else inner.getvalue())
    with pytest.raises(ModelError, match="allow_pickle"):
        load_model(buffer.getvalue(), signed(buffer.getvalue(), record))
