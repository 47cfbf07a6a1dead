"""Work in batches: as large as a GPU's memory takes, smaller after it has run out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

# What one prompt takes while a vit_b decodes it, float32: a few copies of 4096 tokens
# x 256 channels (4 MB each) and the upscaled 256 x 256 x 32 (8 MB), with room to spare.
PROMPT_BYTES = 64 << 20
# The rest stays for the encoder, the logits at full size and whoever shares the GPU.
_SHARE = 0.5
# Beyond this a GPU has enough to do, and larger batches only take memory.
_MOST = 256

_TEXTS = ("out of memory", "not enough memory", "can't allocate memory")


def in_batches(
    count: int,
    size: int,
    run: Callable[[slice], T],
    device: str,
    item_bytes: int = PROMPT_BYTES,
    free: Callable[[str], int] | None = None,
) -> Iterator[T]:
    """Run over ``range(count)`` in slices, in order, and yield what each gave.

    When memory runs out, the slice is tried again with half the size, down to 1, and
    the size stays there: what did not fit once would not fit the next time.

    Parameters
    ----------
    count : int
        Items in all; none gives nothing.
    size : int
        Items at once on ``cpu`` and ``mps``, where a batch that stays in cache is faster
        than a large one. On CUDA the size follows from the free memory.
    run : callable
        From a slice of the items to its result. A slice that failed for want of memory
        is run again, so it must leave nothing half done.
    device : str
        ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
    item_bytes : int
        Memory that one item takes on the device.
    free : callable, optional
        From a device to its free bytes; :func:`free_bytes` by default.

    Raises
    ------
    RuntimeError, MemoryError
        When not even one item fits; and whatever else `run` raises, at once.

    Examples
    --------
    >>> list(in_batches(5, 2, lambda s: (s.start, s.stop), "cpu"))
    [(0, 2), (2, 4), (4, 5)]
    """
    if size < 1:
        raise ValueError(f"the size of a batch must be at least 1, got {size}")
    if device.startswith("cuda"):
        size = fitting((free or free_bytes)(device), item_bytes)
    start = 0
    while start < count:
        size = min(size, count - start)
        done = _attempt(run, slice(start, start + size))
        if done is None:
            size = size // 2
            _let_go(device)
            continue
        yield done[0]
        start += size


def _attempt(run: Callable[[slice], T], part: slice) -> tuple[T] | None:
    """The result of one slice, or None when it needs more memory than there is.

    A function of its own, so that the error, whose traceback holds on to the failed
    batch's tensors, is gone before the next attempt.
    """
    try:
        return (run(part),)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error) or part.stop - part.start <= 1:
            raise
        return None


def fitting(free: int, item_bytes: int) -> int:
    """Items that fit into half of the free bytes; at least 1, at most 256.

    Examples
    --------
    >>> fitting(8 << 30, 64 << 20), fitting(0, 64 << 20), fitting(1 << 40, 64 << 20)
    (64, 1, 256)
    """
    return max(1, min(_MOST, int(free * _SHARE) // max(1, item_bytes)))


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out.

    torch has a class for this on CUDA (a RuntimeError whose text says it too), and only
    a text on mps and the CPU.

    Examples
    --------
    >>> out_of_memory(RuntimeError("MPS backend out of memory")), out_of_memory(MemoryError())
    (True, True)
    >>> out_of_memory(RuntimeError("shapes cannot be multiplied"))
    False
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _TEXTS)
    )


def free_bytes(device: str) -> int:
    """Memory that a CUDA device can still give: the driver's, and torch's own reserve."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free) + int(unused)


def _let_go(device: str) -> None:
    """Give torch's reserve back, so that a smaller batch meets whole blocks of memory."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
    elif device == "mps":
        import torch

        torch.mps.empty_cache()
