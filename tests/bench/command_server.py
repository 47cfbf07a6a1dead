"""A process that runs Trephine's commands and says what each took; see bench_two_commits.py.

Whose commands these are, PYTHONPATH says. One line of JSON comes in, the arguments of the
command line; one goes out.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path


def cpu_seconds() -> float:
    """User and system time of this process and of those that it has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(who.ru_utime + who.ru_stime for who in used)


def peak_mb() -> float:
    """The largest memory that this process has held, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    raise RuntimeError("expected VmHWM in /proc/self/status: this bench needs Linux")


def run(arguments: list[str]) -> int:
    """Run one command; what it returns to the shell."""
    from annotator.__main__ import main

    sys.argv = ["trephine", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main() -> None:
    """Serve until there are no more lines."""
    import cv2

    answers = os.fdopen(os.dup(1), "w")
    # What the commands print is nobody's answer.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)

    cv2.setNumThreads(1)
    for line in sys.stdin:
        cpu, clock = cpu_seconds(), time.perf_counter()
        status = run(json.loads(line))
        answer = {
            "status": status,
            "cpu": cpu_seconds() - cpu,
            "clock": time.perf_counter() - clock,
            "peak_mb": peak_mb(),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
