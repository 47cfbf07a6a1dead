"""Memory that is kept for the next image."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Page faults of making and dropping a map of 8 MB a hundred times.
_FAULTS = """
import resource, sys
import numpy as np
from annotator.core.heap import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    one, other = np.ones(1 << 20), np.ones(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    asked = [sys.executable, "-c", _FAULTS, how]
    return int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc knows of it")
def test_what_was_freed_serves_again() -> None:
    assert 10 * _faults("kept") < _faults("as it is")
