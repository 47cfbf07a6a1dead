"""Processes of this machine against Dask workers on it, and what the one writer can take.

``python tests/bench/bench_engines.py [--fields 30] [--repeats 3]``: the two engines take turns on
the same drawn fields, as other work on the machine shows in the seconds of the clock. Processor
seconds are those of all processes of a run. Part of ``make bench`` with ``--only engines``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil

FIELDS, REPEATS = 30, 3
SHAPE = (600, 960)
WRITTEN_SHAPE = (1200, 1920)
WRITTEN_IMAGES = 100
SENT_JOBS = 60
TILES, TILE_SHAPE = 3, (2688, 2688)
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class RunCost:
    """Seconds of the clock, and of the processors of all its processes."""

    wall: float
    cpu: float


def measure(count: int = FIELDS, repeats: int = REPEATS) -> list[tuple[str, str, str]]:
    """Rows of a table: the engines, then the writer."""
    with tempfile.TemporaryDirectory() as folder:
        return [*engines(Path(folder), count, repeats), *writer(Path(folder))]


def engines(folder: Path, count: int, repeats: int) -> Iterator[tuple[str, str, str]]:
    """The same fields by two processes and by two Dask workers, in turns."""
    images = drawn(folder / "images", count, SHAPE)
    ways = {"--workers 2": ["--workers", "2"]}
    ways["--engine dask --workers 2"] = ["--workers", "2", "--engine", "dask"]
    costs: dict[str, list[RunCost]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, options in ways.items():
            costs[way].append(annotated(folder / "study", images, options))
    base = costs["--workers 2"]
    for way, found in costs.items():
        wall, cpu = median(c.wall for c in found), median(c.cpu for c in found)
        yield (
            f"{count} fields of {SHAPE[0]} x {SHAPE[1]}, {way}",
            f"{wall:.1f} s, {cpu:.1f} s of processors",
            f"{wall / median(c.wall for c in base):.2f}, "
            f"{cpu / median(c.cpu for c in base):.2f} (at most 1.10)",
        )


def drawn(folder: Path, count: int, shape: tuple[int, int]) -> Path:
    """A folder with drawn fields."""
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.field_files import image_png
    from annotator.synthetic.settings import phantom_set

    folder.mkdir(parents=True)
    for number, settings in enumerate(phantom_set(count, shape)):
        path = folder / f"field-{number:02}.png"
        path.write_bytes(image_png(make_phantom(settings).image))
    return folder


def annotated(study: Path, images: Path, options: list[str]) -> RunCost:
    """Annotate into a new study, and say what that took."""
    shutil.rmtree(study, ignore_errors=True)
    command = [sys.executable, "-m", "annotator"]
    subprocess.run([*command, "init", str(study)], check=True, stdout=subprocess.DEVNULL)
    began = time.perf_counter()
    run = subprocess.Popen(
        [*command, "annotate", str(study), str(images), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds: dict[int, float] = {}
    while run.poll() is None:
        seconds |= dict(processor_seconds(run.pid))
        time.sleep(_LOOK_SECONDS)
    if run.returncode:
        raise SystemExit(f"annotate ended with {run.returncode}")
    return RunCost(time.perf_counter() - began, sum(seconds.values()))


def processor_seconds(pid: int) -> Iterator[tuple[int, float]]:
    """Seconds so far of a process and of all that it started."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        yield one.pid, times.user + times.system


# The one writer


def writer(folder: Path) -> list[tuple[str, str, str]]:
    """How fast one process writes what workers send, and how fast it gets it."""
    from annotator.study.study import Study

    images = drawn(folder / "written", 1, WRITTEN_SHAPE)
    annotated(folder / "one", images, [])
    with Study.open(folder / "one") as study:
        image = study.images()[0]
        annotation = study.rough.annotation(image)
        assert annotation is not None
        data = study.objects_path(image).read_bytes()
        contents = [path.read_bytes() for path in study.rough.paths(image)]
    size = len(data) + sum(map(len, contents))
    seconds = written_seconds(folder / "many", data, contents, annotation)
    rows = database_rows(folder / "many") / WRITTEN_IMAGES
    received = received_seconds(len(data))
    height, width = WRITTEN_SHAPE
    each = f"an image of {height} x {width}"
    whole = seconds + 2 * received
    return [
        (f"bytes written, {each}", f"{size / 1e6:.2f} MB in 4 files, {rows:.1f} rows", ""),
        (f"written and noted, {each}", f"{1000 * seconds:.1f} ms", f"{1 / seconds:.0f} a second"),
        ("files and rows a second", f"{4 / seconds:.0f} files, {rows / seconds:.0f} rows", ""),
        (
            f"a result of {len(data) / 1e6:.2f} MB fetched from a Dask worker",
            f"{1000 * received:.1f} ms",
            f"{1 / received:.0f} a second",
        ),
        (f"the one writer, {each}", f"{1000 * whole:.1f} ms", f"{1 / whole:.0f} a second"),
        *tile(folder),
    ]


def tile(folder: Path) -> list[tuple[str, str, str]]:
    """What a tile of a slide takes, on one core: its core of 2048 px and 320 px on each side."""
    from annotator.study.study import Study

    images = drawn(folder / "tiles", TILES, TILE_SHAPE)
    annotated(folder / "tiled", images, [])
    with Study.open(folder / "tiled") as study:
        known = study.images()
        notes = [study.rough.annotation(image) for image in known]
        seconds = median(note.seconds for note in notes if note is not None)
        paths = [[study.objects_path(i), *study.rough.paths(i)] for i in known]
    size = median(sum(path.stat().st_size for path in four) for four in paths)
    height, width = TILE_SHAPE
    took = f"{seconds:.1f} s of a core, {size / 1e6:.1f} MB kept"
    return [(f"a tile of {height} x {width}", took, "")]


def written_seconds(folder: Path, data: bytes, contents: list[bytes], annotation: object) -> float:
    """Seconds for each of many images: registered, objects and rough annotation saved."""
    from annotator.study.rough import Annotation, RoughFiles
    from annotator.study.runs import ObjectsRun
    from annotator.study.study import Study

    assert isinstance(annotation, Annotation)
    made = ObjectsRun({"describe": 1.0}, {"prompts": 1}, {"superpixel": 1}, None)
    with Study.create(folder) as study, study.writing():
        began = time.perf_counter()
        for number in range(WRITTEN_IMAGES):
            name = f"/slides/field-{number:05}.png"
            image = study.register(f"{number:016x}", name, WRITTEN_SHAPE, 0.5, ())
            study.save_objects(image, data, 1.0, made)
            study.rough.save(image, RoughFiles(*contents), replace(annotation))
        return (time.perf_counter() - began) / WRITTEN_IMAGES


def database_rows(study: Path) -> int:
    """Rows of all tables."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(study / "study.db")) as database:
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        return sum(
            database.execute(f"select count(*) from {name}").fetchone()[0] for (name,) in tables
        )


def received_seconds(size: int) -> float:
    """Seconds to fetch a result of so many bytes that lies ready on a worker."""
    from annotator.pipeline.engines.dask_cluster import connected

    with connected(None, 2) as client:
        # Each another one: two equal results would be one to Dask.
        futures = [client.submit(bytes, size + n, pure=False) for n in range(SENT_JOBS)]
        for future in futures:
            future.exception()
        began = time.perf_counter()
        for future in futures:
            future.result()
        return (time.perf_counter() - began) / SENT_JOBS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="engines of annotate, and the one writer")
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--writer", action="store_true", help="the writer alone")
    asked = parser.parse_args()
    print(f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before")
    if asked.writer:
        with tempfile.TemporaryDirectory() as folder:
            rows = writer(Path(folder))
    else:
        rows = measure(asked.fields, asked.repeats)
    for row in rows:
        print(" | ".join(row))


if __name__ == "__main__":
    main()
