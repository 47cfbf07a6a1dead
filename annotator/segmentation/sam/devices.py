"""What torch and the machine have to offer, without the seconds that importing torch takes."""

from __future__ import annotations

import ctypes
import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path


@dataclass(frozen=True, slots=True)
class InstalledTorch:
    """The torch of this environment, as its own version file says.

    Parameters
    ----------
    version : str
        Such as ``2.13.0+cpu``.
    cuda : str or None
        The CUDA that it was built for; None where it cannot use an NVIDIA GPU.
    """

    version: str
    cuda: str | None


def installed_torch() -> InstalledTorch | None:
    """Read the version file of torch; None where torch is not installed."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    # The file stands alone: run by itself, it needs nothing else of the package.
    spec = spec_from_file_location("torch_version", Path(found.origin).parent / "version.py")
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except OSError:
        return None
    return InstalledTorch(str(module.__version__), getattr(module, "cuda", None))


def nvidia_gpus() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs that the driver of this machine offers; empty without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    return tuple(_gpu_name(driver, number) for number in range(count.value))


def _gpu_name(driver: ctypes.CDLL, number: int) -> str:
    name = ctypes.create_string_buffer(128)
    failed = driver.cuDeviceGetName(name, len(name), number)
    return f"GPU {number}" if failed else name.value.decode("utf-8", "replace")


def has_apple_gpu() -> bool:
    """Whether this is a Mac with a GPU that torch's ``mps`` runs on."""
    return sys.platform == "darwin" and platform.machine() == "arm64"
