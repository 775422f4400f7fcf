"""``lungsight demo``: two models, one of which learned a planted letter, and the report that tells them apart."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from lungsight import RESEARCH_ONLY
from lungsight._cores import cores
from lungsight.errors import LungsightError

CLEAN, LETTER = "clean", "letter"
SCAN_TEST = "scan-letter"
#: Patients drawn to scan, to train on and to test on. The grade needs 30 with the disease and 30 without at a source.
SCANNED, TRAINED, TESTED = 8, 200, 190
#: How closely the letter follows the disease in the test set: two in three images of COVID-19 have it, and one in six
#: of the others. So a model that reads the letter still reaches a high score.
STRENGTH = 0.5
#: Images of each kind that the second model scans.
IMAGES = 3
#: Height of the phantoms in pixels; the networks see 128.
_SIZE = ("--size", "160")
_PLANTED = ("--shortcut", "corner_letter")
_QUICK = ("--replicates", "200")
#: The recipe `demo` with smaller images and fewer epochs: enough to learn what phantoms show.
_SHORT = ("--set", "image_size=128", "--set", "stages.1.epochs=4")
#: A quarter of a training's time on a CPU is page faults; these settings of glibc's malloc avoid them.
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}


@dataclass(frozen=True)
class Step:
    """One step of the demo.

    Attributes:
        description: what it does, in a few words.
        commands: run at the same time, each on its share of the cores; the names are those of their logs.
        page: a page that is ready after it.
    """

    description: str
    commands: Mapping[str, tuple[str, ...]]
    page: Path | None = None


@dataclass(frozen=True)
class Page:
    """A page to open, relative to the demo's folder, and what to look for there."""

    file: str
    look_for: str


PAGES = (
    Page(
        "scanned/released.html",
        "The model that ships reads phantoms: decision, probabilities and heatmap of each image. It learned from "
        "X-rays of patients, so its decisions mean little here.",
    ),
    Page(
        "compared/index.html",
        "Both trained models on the same images: A the clean one, B the one with the letter. By its AUROC B looks "
        "usable, too; whether a shortcut was found tells them apart.",
    ),
    Page(
        "tested/clean/index.html",
        "The clean model: internal only, and no shortcut was found. So few images can't show for certain that none "
        "is used: look at the interval with the lungs hidden.",
    ),
    Page(
        "tested/letter/index.html",
        "The model with the letter: a shortcut was found. Much of its score stays though the lungs are hidden.",
    ),
    Page(
        "scanned/letter.html",
        "Images named after their label, read by the second model: with a P in the corner it calls healthy ones "
        "COVID-19, too. The red covers the lungs as well as the letter: a heatmap alone wouldn't show it.",
    ),
)


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo makes.")] = Path("demo"),
) -> None:
    """Train a clean model and one that learned a planted letter on phantoms, and let the report tell them apart.

    The first page is ready after some seconds, the others after some minutes on two processor cores. No network is
    needed. The same command resumes a demo that was interrupted. What each step prints is in logs/ in the demo's
    folder.

    Example: lungsight demo --out demo
    """
    _need("fastai", "matplotlib")
    console = Console()
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    steps, started = list(steps_in(out)), time.monotonic()
    for number, step in enumerate(steps, start=1):
        before = time.monotonic()
        console.print(f"{number}/{len(steps)}  {step.description} …", end="", highlight=False)
        if SCAN_TEST in step.commands:
            _choose_images(out / "test", out / "images")
        try:
            _run(step, logs)
        finally:
            console.print(f" {time.monotonic() - before:.0f} s", highlight=False)
        if step.page is not None:
            console.print(f"     {step.page} can be opened", highlight=False, soft_wrap=True)
    read = f"lungsight serve {out / 'images'} {out / 'tested'} {out / 'compared'} --store {out / 'room'}"
    console.print(f"To look at images and pages in the reading room: {read}", highlight=False, soft_wrap=True)
    console.print(_box(out), f"{time.monotonic() - started:.0f} s in all. {RESEARCH_ONLY}", highlight=False)


def steps_in(out: Path) -> Iterator[Step]:
    """Every step, in order, that makes the demo in the folder ``out``."""

    def at(*parts: str) -> str:
        return str(out.joinpath(*parts))

    drawn: dict[str, tuple[str, ...]] = {CLEAN: (), LETTER: _PLANTED}
    threads = ("--threads", str(max(1, cores() // len(drawn))))
    first = ("--patients", str(SCANNED), "--seed", "3")
    yield Step("drawing simulated X-rays", {"phantom-scan": ("phantom", "--out", at("phantoms"), *first)})
    released = at("scanned", "released.html")
    yield Step(
        "scanning them with the model that ships",
        {"scan-released": ("scan", at("phantoms", "images"), "--html", released, "--restart")},
        Path(released),
    )
    patients = ("--patients", str(TRAINED), "--seed", "1", *_SIZE)
    others = ("--patients", str(TESTED), "--seed", "2", *_SIZE, *_PLANTED, "--strength", str(STRENGTH))
    yield Step(
        f"drawing {TRAINED} patients to train on, without and with a letter wherever they show COVID-19, and "
        f"{TESTED} others to test on, the letter on some of either kind",
        {
            **{
                f"phantom-{m}": ("phantom", "--out", at("trained-on", m), *patients, *more)
                for m, more in drawn.items()
            },
            "phantom-test": ("phantom", "--out", at("test"), *others),
        },
    )
    training = ("train", "demo", "--no-results", *_SHORT, *threads)
    yield Step(
        "training a model on each",
        {
            f"train-{m}": (*training, "--data", at("trained-on", m, "manifest.csv"), "--out", at("runs", m))
            for m in drawn
        },
    )
    testing = ("--data", at("test", "manifest.csv"), "--audit-images", "80", "--look-alikes", *_QUICK, *threads)
    yield Step(
        "testing both on the others, audits included",
        {f"evaluate-{m}": ("evaluate", at("runs", m, "package"), *testing, "--out", at("tested", m)) for m in drawn},
    )
    tests = [at("tested", model) for model in drawn]
    page = ("--html", at("scanned", "letter.html"), "--restart")
    yield Step(
        "comparing both tests, and scanning some images with the letter model",
        {
            "compare": ("compare", *tests, *_QUICK, "--out", at("compared")),
            SCAN_TEST: ("scan", at("images"), "--model", at("runs", LETTER, "package"), *page),
        },
    )


def _need(*modules: str) -> None:
    """Raise ModuleNotFoundError, which the command line turns into the name of the extra, before minutes of work."""
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def _run(step: Step, logs: Path) -> None:
    """Run the step's commands; LungsightError where one of them fails. An interrupt ends them all."""
    with ExitStack() as files:
        running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, words in step.commands.items():
                log = files.enter_context((logs / f"{name}.log").open("w", encoding="utf-8"))
                line = [sys.executable, "-m", "lungsight", *words]
                running[name] = subprocess.Popen(line, env=_MEMORY | os.environ, stdout=log, stderr=subprocess.STDOUT)
            statuses = {name: process.wait() for name, process in running.items()}
        finally:
            for process in running.values():
                process.terminate()  # does nothing to one that has ended
                process.wait()
    for name, status in statuses.items():
        if status:
            problem, hint = f"ended with status {status}", f"its output is in {logs / f'{name}.log'}"
            raise LungsightError(f"lungsight {step.commands[name][0]}", problem, f"{hint}; the same command resumes")


def _choose_images(test: Path, folder: Path) -> None:
    """Copy a few of the test images under names that state their label."""
    folder.mkdir(parents=True, exist_ok=True)
    with (test / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for label in ("covid19", "no_pneumonia"):
        for lettered in (True, False):
            chosen = [row for row in rows if row["label"] == label and bool(row["shortcut"]) == lettered][:IMAGES]
            for number, row in enumerate(chosen, start=1):
                name = f"{label} {'with' if lettered else 'without'} letter {number}.png"
                shutil.copyfile(test / row["path"], folder / name)


def _box(out: Path) -> Panel:
    lines = Text()
    for page in PAGES:
        lines.append(f"{out / page.file}\n", style="bold")
        lines.append(f"{page.look_for}\n")
    lines.rstrip()
    return Panel(lines, title="Open these pages in a browser", title_align="left")
