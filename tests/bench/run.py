"""One table of what the line costs; ``make bench``. Takes a few minutes on two cores.

Other work on the machine shows in the figures, most of all in what a second worker
brings: the table begins with the load.
"""

from __future__ import annotations

import os

import bench_annotate
import bench_features
from rich.console import Console
from rich.table import Table


def main() -> None:
    """Measure everything and print the table."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        # Read by the libraries of the processes that are measured, when they start.
        os.environ[name] = "1"
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    height, width = bench_annotate.SHAPE
    table = Table(title=f"{height} x {width} px; {load}")
    for heading in ("what", "measured", "goal, or ratio"):
        table.add_column(heading)
    for measure in (bench_annotate.measure, bench_features.compare):
        for row in bench_annotate.apart(measure):
            table.add_row(*row)
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
