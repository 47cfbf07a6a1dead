"""How the memory that arrays give back is kept for the next ones."""

from __future__ import annotations

import ctypes

# Parameters of mallopt(3), and the largest limit that it takes for the second on 64 bits.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST, _KEPT = 32 << 20, 256 << 20


def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MB that it freed, instead of giving it back each time.

    For work on image after image of a few megabytes: each map would otherwise be asked from the
    system anew, which clears it page by page. Only glibc knows of this.

    Returns
    -------
    bool
        Whether it is so now.

    References
    ----------
    mallopt(3), ``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD``.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = (mallopt(_TRIM_THRESHOLD, _KEPT), mallopt(_MMAP_THRESHOLD, _LARGEST))
    return all(kept)
