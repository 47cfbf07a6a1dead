"""Read ``.safetensors`` files: a length, a table in JSON, then raw tensors.

The format is public and simple (https://github.com/huggingface/safetensors#format),
and one reader of thirty lines is cheaper than one more dependency.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from annotator.core.errors import WeightsError

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file, as they are stored.

    Raises
    ------
    WeightsError
        When the file is cut short, or its table does not fit its data.
    """
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    body = memoryview(bytearray(data[8 + length :]))
    try:
        table = json.loads(data[8 : 8 + length])
        return {k: _tensor(row, body) for k, row in table.items() if k != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError(
            f"{path} ({len(data):,} bytes) is truncated or no safetensors file: "
            f"get it again and compare its sha256"
        ) from error


def _tensor(row: dict[str, Any], body: memoryview) -> Tensor:
    start, end = row["data_offsets"]
    if not 0 <= start < end <= len(body):
        raise ValueError(f"bytes {start} to {end} of {len(body)}")
    return torch.frombuffer(body[start:end], dtype=DTYPES[row["dtype"]]).reshape(row["shape"])
