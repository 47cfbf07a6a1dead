from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest
import torch

from annotator.segmentation.sam.batches import fitting, in_batches, out_of_memory

GIB = 1 << 30


def recorder(limit: int, error: Exception) -> tuple[list[int], Callable[[slice], list[int]]]:
    """A run that fails above a limit, and the sizes that it was asked for."""
    asked: list[int] = []

    def run(part: slice) -> list[int]:
        size = part.stop - part.start
        asked.append(size)
        if size > limit:
            raise error
        return list(range(part.start, part.stop))

    return asked, run


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_the_size_is_fixed_without_cuda(device: str) -> None:
    asked, run = recorder(100, RuntimeError())
    done = list(in_batches(20, 8, run, device))
    assert asked == [8, 8, 4]
    assert list(chain.from_iterable(done)) == list(range(20))


def test_on_cuda_the_size_follows_from_free_memory() -> None:
    asked, run = recorder(1000, RuntimeError())
    done = list(in_batches(70, 8, run, "cuda:0", item_bytes=GIB, free=lambda device: 60 * GIB))
    assert asked == [30, 30, 10]
    assert list(chain.from_iterable(done)) == list(range(70))


def test_free_memory_is_that_of_the_device_asked_for() -> None:
    seen: list[str] = []

    def free(device: str) -> int:
        seen.append(device)
        return GIB

    assert list(in_batches(1, 8, lambda part: part.stop, "cuda:3", free=free)) == [1]
    assert seen == ["cuda:3"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_and_stays_lower(error: Exception) -> None:
    asked, run = recorder(3, error)
    done = list(in_batches(11, 8, run, "cpu"))
    assert asked == [8, 4, 2, 2, 2, 2, 2, 1]
    assert list(chain.from_iterable(done)) == list(range(11))


def test_halving_reaches_one() -> None:
    asked, run = recorder(1, RuntimeError("out of memory"))
    assert list(chain.from_iterable(in_batches(3, 7, run, "cpu"))) == [0, 1, 2]
    assert asked == [3, 1, 1, 1]


def test_one_that_does_not_fit_is_raised_with_its_own_error() -> None:
    asked, run = recorder(0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        list(in_batches(8, 4, run, "cpu"))
    assert asked == [4, 2, 1]


def test_other_errors_are_not_tried_again() -> None:
    asked, run = recorder(2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(in_batches(8, 4, run, "cpu"))
    assert asked == [4]


def test_what_came_before_the_shortage_is_yielded_once() -> None:
    shortage = iter([False, False, True])

    def run(part: slice) -> list[int]:
        if part.stop - part.start == 4 and next(shortage):
            raise RuntimeError("out of memory")
        return list(range(part.start, part.stop))

    done = list(in_batches(12, 4, run, "cpu"))
    assert done == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [10, 11]]


def test_a_result_of_none_is_a_result() -> None:
    assert list(in_batches(4, 2, lambda part: None, "cpu")) == [None, None]


def test_nothing_to_do() -> None:
    assert list(in_batches(0, 8, lambda part: part, "cpu")) == []


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1, .*0"):
        list(in_batches(3, 0, lambda part: part, "cpu"))


def test_free_memory_never_gives_less_than_one() -> None:
    assert fitting(0, 1 << 20) == 1
    assert fitting(10 << 20, 1 << 20) == 5
    assert fitting(1 << 50, 0) == 256


def test_only_errors_of_memory_are_taken_for_such() -> None:
    assert not out_of_memory(ValueError("out of memory"))
    assert not out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
