"""What shapes the bytes of a result: versions, our own code, the kind of processor."""

from __future__ import annotations

import platform
from importlib.metadata import version

import numpy as np
import onnxruntime

from annotator.pipeline.engines.installation import (
    MISSING,
    code_hash,
    installed_versions,
    processor_kind,
)


def test_versions_are_those_of_this_python():
    found = installed_versions()
    assert found["numpy"] == np.__version__
    assert found["onnxruntime"] == onnxruntime.__version__
    assert found["python"] == ".".join(platform.python_version_tuple()[:2])
    assert found["trephine"] == f"{version('trephine')} (code {code_hash()})"
    assert MISSING not in found.values()


def test_the_hash_is_of_the_code():
    assert len(code_hash()) == 8
    assert int(code_hash(), 16) >= 0


def test_a_processor_has_instructions():
    assert processor_kind().startswith(platform.machine())
