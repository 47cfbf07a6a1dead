"""What torch offers is read without importing it, and is what torch itself says."""

from __future__ import annotations

import subprocess
import sys

import torch

from annotator.segmentation.sam.devices import installed_torch, nvidia_gpus


def test_the_version_is_the_one_that_torch_says() -> None:
    found = installed_torch()
    assert found is not None
    assert (found.version, found.cuda) == (torch.__version__, torch.version.cuda)


def test_the_gpus_are_those_that_torch_finds_where_it_can_use_them() -> None:
    if torch.version.cuda is not None:
        assert len(nvidia_gpus()) == torch.cuda.device_count()
    else:
        assert all(isinstance(name, str) for name in nvidia_gpus())


def test_torch_is_not_imported() -> None:
    code = (
        "import sys; from annotator.segmentation.sam.devices import *; "
        "installed_torch(); nvidia_gpus(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
