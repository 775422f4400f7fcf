"""The whole command, as a user starts it: from a cold start, with ten times the images, on one core and two, by one
Ray worker and two.

    python benchmarks/speed/scaling.py --out docs/results/scaling.csv

Images are phantoms as JPEG of 512 px, a dozen under many names. A command's time has its start in it; an image's time
is the slope between a scan of few and one of many, so that it hasn't.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from rich.console import Console

from image_formats import draw_images

_SCAN = [sys.executable, "-m", "lungsight", "scan"]
_OUTPUTS = ("--json", "--csv", "--html", "--heatmaps", "--overlays")


@dataclass(frozen=True)
class Setting:
    """Options of one scan, and how many cores it may use (0: all)."""

    options: list[str]
    cores: int = 0


@dataclass(frozen=True)
class Row:
    """One scan, or several: medians with the lowest and the highest."""

    what: str
    setting: str
    images: int
    runs: int
    value: float
    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, what: str, setting: str, images: int, values: Sequence[float], unit: str) -> Row:
        rounded = (round(v, 4) for v in (statistics.median(values), min(values), max(values)))
        return cls(what, setting, images, len(values), *rounded, unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--few", type=int, default=400)
    parser.add_argument("--many", type=int, default=4000)
    parser.add_argument("--ray-many", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lungsight-scaling-") as scratch, given.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        for row in _rows(Path(scratch), given):
            Console(stderr=True).print(row)
            writer.writerow(astuple(row))
            file.flush()


def _rows(scratch: Path, given: argparse.Namespace) -> Iterator[Row]:
    films = draw_images("JPEG, 512 px", scratch / "drawn", 12)
    few, many, ray_many = (
        _copies(films, scratch / str(count), count) for count in (given.few, given.many, given.ray_many)
    )
    starts = [_run([str(films[0])], scratch)[0] for _ in range(3 * given.rounds)]
    yield Row.of("cold start", "one image, whole process", 1, starts, "s")
    outputs = [word for name in _OUTPUTS for word in (name, f"out{name}")]
    peaks = {}
    for folder, count in ((few, given.few), (many, given.many)):
        seconds, peaks[count] = _run([str(folder), *outputs, "--restart"], scratch)
        yield Row.of("peak memory", "every output", count, [peaks[count]], "MiB")
        yield Row.of("whole scan", "every output", count, [seconds], "s")
    yield Row.of("peak memory", "many over few", given.many, [peaks[given.many] / peaks[given.few]], "ratio")
    yield from _slopes("cores", _on_cores, scratch, few, ray_many, given)
    yield from _slopes("Ray workers", _with_workers, scratch, few, ray_many, given)


def _on_cores(count: int) -> Setting:
    return Setting(["--threads", str(count)], cores=count)


def _with_workers(count: int) -> Setting:
    return Setting(["--engine", "ray", "--workers", str(count)])


def _slopes(
    name: str, setting: Callable[[int], Setting], scratch: Path, few: Path, many: Path, given: argparse.Namespace
) -> Iterator[Row]:
    """Seconds an image by one and by two, in rounds that alternate, and their ratio."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(given.rounds):
        for count, times in found.items():
            short, long = (
                _run([str(folder), *options, "--json", "slope.jsonl", "--restart"], scratch, cores)[0]
                for options, cores in [astuple(setting(count))]
                for folder in (few, many)
            )
            times.append((long - short) / (given.ray_many - given.few))
    for count, times in found.items():
        yield Row.of("seconds an image", f"{name}: {count}", given.ray_many, times, "s")
    ratios = [one / two for one, two in zip(*found.values(), strict=True)]
    yield Row.of("times as quick by two", name, given.ray_many, ratios, "ratio")


def _copies(films: Sequence[Path], folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        shutil.copy(films[number % len(films)], folder / f"{number:05}.jpg")
    return folder


def _run(arguments: list[str], folder: Path, cores: int = 0) -> tuple[float, float]:
    """Seconds and peak MiB of one command, of its children only the time; on so many cores (0: all)."""
    started = time.perf_counter()
    quiet = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, quiet, 1), (os.POSIX_SPAWN_DUP2, quiet, 2)]
    here, all_cores = Path.cwd(), os.sched_getaffinity(0)
    os.chdir(folder)
    os.sched_setaffinity(0, sorted(all_cores)[: cores or None])  # the child inherits it
    try:
        child = os.posix_spawn(_SCAN[0], [*_SCAN, *arguments], os.environ, file_actions=actions)
    finally:
        os.sched_setaffinity(0, all_cores)
        os.chdir(here)
        os.close(quiet)
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"lungsight scan {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
