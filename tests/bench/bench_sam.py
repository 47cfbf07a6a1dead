"""SAM: the package's mask generator against ours, exact and guided.

Part of ``make bench``. Each contender runs in a fresh process, whose peak memory is its
own, with all cores for torch. Two networks: vit_b with random values, for time and
memory, and the trained checkpoint that ``TREPHINE_BENCH_SAM`` names, for recall.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bench_annotate
import numpy as np
from rich.table import Table
from sam_inputs import (
    GOOD,
    STABLE,
    VIT_B,
    cores,
    load_model,
    passing,
    read_field,
    write_field,
    write_random,
)

from annotator.core.objects import intersection
from annotator.imaging.appearance import Appearance
from annotator.segmentation.sam.architecture import Architecture
from annotator.segmentation.sam.masks import Candidate, box_nms, pack
from annotator.settings.sam import SamSettings

sys.path.insert(0, str(Path(__file__).parents[1]))  # stock_sam

SHAPE = (1200, 1920)
CHECKPOINT = "TREPHINE_BENCH_SAM"
GRID, FINE_GRID, PUBLISHED_GRID, QUICK_GRID = 32, 64, 160, 8
FOUND = 0.9
SMALLEST = 0.0001
HEADINGS = (
    "generator", "seconds", "prompts", "masks", "recall", "agreement with stock", "peak memory",
    "ratio (goal)",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """How the benchmark runs; quick: a coarse grid, its time scaled up by prompts."""

    quick: bool = False
    device: str = "cpu"
    shape: tuple[int, int] = SHAPE
    architecture: Architecture = VIT_B

    @property
    def grid(self) -> int:
        """Points along a side of the grid that is really asked."""
        return QUICK_GRID if self.quick else GRID


@dataclass(frozen=True, slots=True)
class ContenderJob:
    """What a contender needs to know; small, as it goes to another process."""

    checkpoint: Path
    field: Path
    device: str
    settings: SamSettings


@dataclass(frozen=True, slots=True)
class ContenderRun:
    """What a contender took, and the masks it made."""

    seconds: float
    encode: float
    prompts: int
    peak_mb: float
    masks: tuple[Candidate, ...]

    def with_prompts(self, prompts: int) -> float:
        """Seconds of so many prompts: the encoder once, the rest in proportion."""
        return self.encode + (self.seconds - self.encode) * prompts / self.prompts


def settle(device: str) -> None:
    """Wait for a device that works behind our back."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak_mb(device: str) -> float:
    """Largest memory so far of this process, or on its GPU, MB."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e6
    return bench_annotate.peak_mb()


def run_stock(job: ContenderJob) -> ContenderRun:
    """The package's own generator, its masks as full frames, its batch of 64."""
    from support.stock_sam import stock_generator

    model, image = load_model(job.checkpoint, job.device), read_field(job.field)
    ticks: list[float] = []

    def tick(*_: Any) -> None:
        settle(job.device)
        ticks.append(time.perf_counter())

    model.network.image_encoder.register_forward_pre_hook(tick)
    model.network.image_encoder.register_forward_hook(tick)
    with stock_generator() as generator:
        # The stand-in for torchvision's NMS is slow; with many masks that would be unfair.
        vars(sys.modules[generator.__module__])["batched_nms"] = quick_nms
        asked = (
            "points_per_side", "pred_iou_thresh", "stability_score_thresh",
            "stability_score_offset", "box_nms_thresh", "min_mask_region_area",
        )  # fmt: skip
        settings = {name: getattr(job.settings, name) for name in asked}
        begun = time.perf_counter()
        records = generator(model.network, **settings).generate(image.pixels)
        seconds = time.perf_counter() - begun
    peak = peak_mb(job.device)
    masks = [pack(r["segmentation"], r["predicted_iou"], 1.0, (0, 0)) for r in records]
    prompts, encode = job.settings.points_per_side**2, ticks[1] - ticks[0]
    return ContenderRun(seconds, encode, prompts, peak, tuple(m for m in masks if m is not None))


def quick_nms(boxes: Any, scores: Any, categories: Any, iou_threshold: float) -> Any:
    """``torchvision.ops.batched_nms`` for one category."""
    import torch

    half_open = np.rint(boxes.cpu().numpy()).astype(np.int32) + np.array([0, 0, 1, 1], np.int32)
    kept = box_nms(half_open, scores.cpu().numpy().astype(np.float32), iou_threshold)
    return torch.from_numpy(kept).to(boxes.device)


def run_ours(job: ContenderJob) -> ContenderRun:
    """Our generator, as the settings say."""
    from annotator.core.progress import Stopwatch
    from annotator.segmentation.sam.proposer import SamProposer

    model, image = load_model(job.checkpoint, job.device), read_field(job.field)
    watch, proposer = Stopwatch(), SamProposer(job.settings, model)
    begun = time.perf_counter()
    objects = proposer.propose(Appearance(image), watch)
    seconds = time.perf_counter() - begun
    peak = peak_mb(job.device)
    masks = [
        pack(crop, float(score), 1.0, (0, 0), (rows.start, columns.start))
        for ((rows, columns), crop), score in zip(objects, objects.scores, strict=True)
    ]
    prompts = watch.counts["prompts"]
    kept = tuple(m for m in masks if m is not None)
    return ContenderRun(seconds, watch.seconds["encode"], prompts, peak, kept)


def overlaps(ones: Sequence[Candidate], others: Sequence[Candidate]) -> np.ndarray:
    """IoU of each mask with each other one, (N, M)."""
    table = np.zeros((len(ones), len(others)))
    crops = [o.crop for o in others]
    areas = [int(c.sum()) for c in crops]
    boxes = np.array([o.box for o in others]).reshape(-1, 4)
    for row, one in enumerate(ones):
        crop, (x0, y0, x1, y1) = one.crop, one.box
        area = int(crop.sum())
        apart = (boxes[:, :2] >= (x1, y1)) | (boxes[:, 2:] <= (x0, y0))
        for at in np.flatnonzero(~apart.any(axis=1)).tolist():
            shared = intersection(one.box, crop, others[at].box, crops[at])
            table[row, at] = shared / (area + areas[at] - shared)
    return table


def agreement(stock: Sequence[Candidate], ours: Sequence[Candidate]) -> str:
    """Mean IoU of the pairs that are each other's best, and how many of both sets those are."""
    if not stock or not ours:
        return "no masks"
    table = overlaps(stock, ours)
    best = table.argmax(axis=1)
    mutual = table[:, best].argmax(axis=0) == np.arange(len(stock))
    paired = table[np.arange(len(stock)), best]
    paired = paired[mutual & (paired > 0.5)]
    mean = paired.mean() if len(paired) else float("nan")
    same = int((paired >= 0.98).sum())
    return f"IoU {mean:.5f}, {same} of {max(len(stock), len(ours))} the same"


def looked_for(masks: Sequence[Candidate], field: Path) -> list[Candidate]:
    """Those that are large enough, and mostly on truth that is not cellular tissue."""
    with np.load(field) as drawn:
        worth = drawn["worth"]
    wanted = []
    for mask in masks:
        crop, (x0, y0, x1, y1) = mask.crop, mask.box
        area, inside = int(crop.sum()), int((crop & worth[y0:y1, x0:x1]).sum())
        if area > SMALLEST * worth.size and inside > 0.5 * area:
            wanted.append(mask)
    return wanted


def recall(reference: Sequence[Candidate], masks: Sequence[Candidate], field: Path) -> str:
    """Share of the reference's objects that are among the masks at an IoU of 0.9."""
    wanted = looked_for(reference, field)
    if not wanted or not masks:
        return f"0 of {len(wanted)}"
    found = int((overlaps(wanted, masks).max(axis=1) >= FOUND).sum())
    return f"{found / len(wanted):.3f} of {len(wanted)}"


@dataclass(frozen=True, slots=True)
class Contest:
    """All runs on one network; `fine` is exact mode on the 64-grid, None where it was left out."""

    grid: int
    stock: ContenderRun
    exact: ContenderRun
    guided: ContenderRun
    fine: ContenderRun | None


def hold(job: ContenderJob, grid: int, fine: bool) -> Contest:
    """Run all contenders, one after the other, each in a process of its own."""
    guided = replace(job.settings, mode="guided")
    settings = replace(job.settings, mode="exact", points_per_side=grid)
    job = replace(job, settings=settings)
    return Contest(
        grid,
        bench_annotate.apart(run_stock, job),
        bench_annotate.apart(run_ours, job),
        bench_annotate.apart(run_ours, replace(job, settings=guided)),
        bench_annotate.apart(
            run_ours, replace(job, settings=replace(settings, points_per_side=FINE_GRID))
        )
        if fine
        else None,
    )


def contest_rows(contest: Contest, field: Path) -> list[tuple[str, ...]]:
    """The table's rows for one network."""
    stock, exact, guided, fine = contest.stock, contest.exact, contest.guided, contest.fine
    whole = contest.grid == GRID
    stock_32, exact_32 = stock.with_prompts(GRID**2), exact.with_prompts(GRID**2)
    published = stock.with_prompts(PUBLISHED_GRID**2)
    agreed = bench_annotate.apart(agreement, stock.masks, exact.masks)
    reference = (fine or exact).masks

    def recalled(run: ContenderRun) -> str:
        known = fine is not None and (whole or run is not exact)
        return bench_annotate.apart(recall, reference, run.masks, field) if known else "n/a"

    memory = f"memory {exact.peak_mb / stock.peak_mb:.2f} of stock (< 0.50), < 2.5 GB"
    less = f"memory {guided.peak_mb / stock.peak_mb:.2f} of stock (< 0.50), < 2.5 GB"
    rows = [
        ("stock, 32-grid", *cells(stock, stock_32, whole), "", "", gigabytes(stock), ""),
        (
            "ours, exact, 32-grid", *cells(exact, exact_32, whole), recalled(exact), agreed,
            gigabytes(exact), f"{stock_32 / exact_32:.1f}x stock (>= 7x); {memory}",
        ),
        (
            "ours, guided", *cells(guided, guided.seconds, True), recalled(guided), "n/a",
            gigabytes(guided),
            f"{stock_32 / guided.seconds:.1f}x stock 32-grid (>= 14x), "
            f"{published / guided.seconds:.0f}x its 160-grid (>= 350x), "
            f"{guided.seconds:.1f} s (<= 15 s); {less}",
        ),
        (
            "stock, 160-grid", f"~{published:,.0f}", f"({PUBLISHED_GRID**2:,})", "", "", "", "",
            "from its number of prompts",
        ),
    ]  # fmt: skip
    if fine is not None:
        share = guided.prompts / fine.prompts
        goal = f"guided: {share:.1%} of its prompts (< 5 %), recall >= 0.97"
        rows.append(
            ("ours, exact, 64-grid", *cells(fine, fine.seconds, True), "1 (reference)", "n/a",
             gigabytes(fine), goal)
        )  # fmt: skip
    return rows


def cells(run: ContenderRun, seconds: float, whole: bool) -> tuple[str, str, str]:
    """Seconds, prompts and masks; ``~`` where the seconds are scaled up from fewer prompts."""
    return f"{seconds:.1f}" if whole else f"~{seconds:.1f}", f"{run.prompts:,}", f"{len(run.masks)}"


def gigabytes(run: ContenderRun) -> str:
    """Peak memory for people."""
    return f"{run.peak_mb / 1000:.2f} GB"


def encoder_operations(encoder: Any, side: int) -> int:
    """Operations of matrix products and convolutions for one image, as torch counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        copy.deepcopy(encoder).to("meta")(torch.empty(1, 3, side, side, device="meta"))
    return int(counter.get_total_flops())


def matrix_speed(device: str, seconds: float) -> float:
    """Float32 matrix products a second on this device, now, in FLOP/s."""
    import torch

    side = 1024 if device == "cpu" else 4096
    matrix = torch.randn(side, side, device=device) / side**0.5
    matrix @ matrix
    start, runs = time.perf_counter(), 0
    while not runs or time.perf_counter() - start < seconds:
        # Reading a number waits for a device that works behind our back.
        float((matrix @ matrix)[0, 0])
        runs += 1
    return runs * 2 * side**3 / (time.perf_counter() - start)


def encoders(checkpoint: Path, shape: Architecture, device: str, repeats: int) -> list[Any]:
    """Least seconds of the package's encoder and of ours, in turns; operations; FLOP/s."""
    import torch

    from annotator.segmentation.sam.encoder import encode_image

    encoder = load_model(checkpoint, device).network.image_encoder
    drawn = torch.Generator().manual_seed(0)
    side = shape.image_size
    image = torch.randn(1, 3, side, side, generator=drawn).to(device)
    seconds, speeds = np.zeros((2, repeats)), []
    with torch.inference_mode():
        for turn in range(repeats):
            speeds.append(matrix_speed(device, 1.0))
            for way, work in enumerate((encoder, lambda x: encode_image(encoder, x))):
                begun = time.perf_counter()
                work(image)
                settle(device)
                seconds[way, turn] = time.perf_counter() - begun
    return [*seconds.min(axis=1).tolist(), encoder_operations(encoder, side), max(speeds)]


def encoder_rows(checkpoint: Path, options: Options) -> list[tuple[str, str, str]]:
    """The encoders' time against what this machine's matrix speed allows."""
    shape = options.architecture
    stock, ours, operations, speed = bench_annotate.apart(
        encoders, checkpoint, shape, options.device, 1 if options.quick else 2
    )
    least = operations / speed
    bound = f"{operations / 1e12:.2f} TFLOP at {speed / 1e9:.0f} GFLOP/s: {least:.1f} s at least"
    return [
        (f"encoder {shape.kind}, stock", f"{stock:.2f} s", f"{stock / least:.1f}x the least"),
        (
            f"encoder {shape.kind}, ours",
            f"{ours:.2f} s",
            f"{stock / ours:.2f}x stock (>= 1.5x), {ours / least:.1f}x the least",
        ),
        ("its operations and the speed of matrix products", bound, "of the same run"),
    ]


def measure(options: Options) -> tuple[Table, list[tuple[str, str, str]], list[str]]:
    """The table of all contenders, rows about the encoder, and notes."""
    trained = os.environ.get(CHECKPOINT)
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores busy before"
    height, width = options.shape
    title = f"SAM, {height} x {width} px, {options.device}, {cores()} threads each; {load}"
    table = Table(*HEADINGS, title=title)
    with tempfile.TemporaryDirectory() as place:
        field, weights = Path(place) / "field.npz", Path(place) / "random.pth"
        bench_annotate.apart(write_field, field, options.shape)
        bench_annotate.apart(write_random, weights, options.architecture, field)
        encoder = encoder_rows(weights, options)
        jobs = {
            f"{options.architecture.kind}, random": ContenderJob(
                weights, field, options.device, SamSettings()
            )
        }
        if trained:
            settings = bench_annotate.apart(passing, Path(trained), field)
            jobs["trained"] = ContenderJob(Path(trained), field, options.device, settings)
        for name, job in jobs.items():
            contest = hold(job, options.grid, fine=name == "trained")
            for row in contest_rows(contest, field):
                table.add_row(f"{name}: {row[0]}", *row[1:])
            table.add_section()
    return table, encoder, notes(options, jobs.get("trained"))


def notes(options: Options, trained: ContenderJob | None) -> list[str]:
    """What the figures mean, for people."""
    lines = [
        f"Random values: the IoU head is biased so that {GOOD:.0%} of the masks pass, and the "
        f"logits scaled so that {STABLE:.0%} of those are stable. Their masks reach far "
        "over the frame, which costs ours more than masks of adipocytes, and shift with the "
        "point, so that other points never find them again: recall means nothing there.",
        f"Recall: of the objects of our exact 64-grid over {SMALLEST:.2%} of the image and "
        f"mostly on white or bone (by the phantom's truth), the share found at IoU {FOUND}.",
        "Agreement: mean IoU of masks that are each other's best match; the same: IoU 0.98.",
    ]
    if options.quick:
        lines.append(
            f"Quick: stock and exact were run on a grid of {QUICK_GRID} x {QUICK_GRID}; seconds "
            "with ~ are the encoder's plus the rest scaled up to 1,024 prompts. Masks, agreement "
            "and peak memory are those of the coarse grid."
        )
    if trained is not None:
        lines.append(
            f"Trained network: predicted IoU over {trained.settings.pred_iou_thresh}, stability "
            f"{trained.settings.stability_score_thresh}, for all; where these are below the "
            "defaults, it would else fail most of its masks."
        )
    else:
        lines.append(f"Trained network: skipped, as {CHECKPOINT} names no checkpoint.")
    return lines
