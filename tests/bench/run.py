"""Tables of what the line, CVAT and SAM cost; ``make bench``. Takes 20 minutes on two cores.

``make bench BENCH=--quick`` asks SAM for less; ``BENCH="--only sam"`` leaves the rest out.
Other work on the machine shows in the figures, most of all in what a second worker
brings: the tables begin with the load.
"""

from __future__ import annotations

import argparse
import os
from types import ModuleType

import bench_annotate
import bench_cvat
import bench_engines
import bench_evaluate
import bench_features
import bench_line
import bench_network
import bench_network_line
import bench_network_training
import bench_review
import bench_sam
import bench_sam_recall
import bench_stats
from rich.console import Console
from rich.table import Table

WIDEST = 150


def main() -> None:
    """Measure what was asked for and print the tables."""
    asked = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        # Read by the libraries of the processes that are measured, when they start; SAM's
        # tell torch themselves to use all cores.
        os.environ[name] = "1"
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDEST)
    if asked.only in (None, "line"):
        console.print(line())
    if asked.only in (None, "stats"):
        console.print(fields("Data table", bench_stats))
    if asked.only in (None, "evaluate"):
        console.print(fields("Agreement with the truth", bench_evaluate))
    if asked.only in (None, "review"):
        console.print(fields("Review page", bench_review))
    if asked.only in (None, "cvat"):
        console.print(cvat())
    if asked.only in (None, "network"):
        console.print(network())
    if asked.only in (None, "engines"):
        console.print(engines())
    if asked.only in (None, "sam"):
        sam(console, bench_sam.Options(asked.quick, asked.device))


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="time and memory of each stage")
    parser.add_argument("--quick", action="store_true", help="SAM on a coarse grid, scaled up")
    tables = ("line", "stats", "evaluate", "review", "cvat", "network", "engines", "sam")
    parser.add_argument("--only", choices=tables, help="one of the tables")
    parser.add_argument("--device", default="cpu", help="torch's device for SAM (cpu)")
    return parser.parse_args()


def line() -> Table:
    """The stages of the line and the features, on one core."""
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    height, width = bench_annotate.SHAPE
    table = three_columns(f"{height} x {width} px; {load}")
    for measure in (bench_annotate.measure, bench_features.compare, bench_line.measure):
        for row in bench_annotate.apart(measure):
            table.add_row(*row)
        table.add_section()
    return table


def fields(title: str, bench: ModuleType) -> Table:
    """What forty fields take."""
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    height, width = bench.SHAPE
    table = three_columns(f"{title}, {height} x {width} px; {load}")
    for row in bench.measure():
        table.add_row(*row)
    return table


def cvat() -> Table:
    """A push to a CVAT server and a pull from it, with one core for us."""
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    height, width = bench_cvat.SHAPE
    table = three_columns(f"CVAT, {height} x {width} px; {load}")
    for rows in bench_annotate.apart(bench_cvat.measure):
        for row in rows:
            table.add_row(*row)
        table.add_section()
    return table


def network() -> Table:
    """Prediction by three engines; annotating with it and without; training."""
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    table = three_columns(f"The segmentation network, one thread; {load}")
    for bench in (bench_network, bench_network_line, bench_network_training):
        for row in bench.measure():
            table.add_row(*row)
        table.add_section()
    return table


def engines() -> Table:
    """Processes of this machine against Dask workers on it; the one writer; a tile."""
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    table = three_columns(f"Who does the work, and the one who writes; {load}")
    for row in bench_engines.measure():
        table.add_row(*row)
    return table


def sam(console: Console, options: bench_sam.Options) -> None:
    """SAM's generators, its encoder, and what guided mode finds with a SAM that is right."""
    generators, encoder, notes = bench_sam.measure(options)
    console.print(generators)
    table = three_columns("SAM's encoder, and where guided mode asks")
    for rows in (encoder, bench_sam_recall.rows()):
        for row in rows:
            table.add_row(*row)
        table.add_section()
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def three_columns(title: str) -> Table:
    """An empty table."""
    return Table("what", "measured", "goal, or ratio", title=title)


if __name__ == "__main__":
    main()
