"""``lungsight demo``: two models, one of which learned a planted letter, and the report that tells them apart."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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

CLEAN, LETTER, SCAN = "clean", "letter", "scan"
#: Patients drawn for training and for testing. The grade asks for 30 with the disease and 30 without at a source.
TRAINED, TESTED = 200, 200
#: How closely the letter follows the disease where both models are tested: two in three of the images of COVID-19
#: carry it, and one in six of the others. So a model that reads the letter still does well by its score.
FOLLOWS = 0.5
#: Films of each kind that are scanned.
FILMS = 3
_PHANTOMS = ("--size", "256")
_LETTER = ("--shortcut", "corner_letter")
_QUICK = ("--replicates", "500")
#: A quarter of a training's time on a CPU is page faults; these settings of glibc's malloc spare them.
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}


@dataclass(frozen=True)
class Step:
    """One step of the demo: what it does in a few words, and its commands, by a name for their logs. They run at the
    same time, each on its share of the cores: a small training keeps hardly more than one of them busy."""

    said: str
    commands: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Page:
    """A page to open, relative to the demo's folder, and what to look for there."""

    file: str
    look_for: str


PAGES = (
    Page(
        "compared/index.html",
        "Both models on the same images: A the clean one, B the one with the letter. By its AUROC B looks usable, "
        "too; the grades tell them apart.",
    ),
    Page(
        "tested/clean/index.html",
        "The clean model: internal only. With the lungs hidden (section 6) its AUROC falls to what chance explains.",
    ),
    Page(
        "tested/letter/index.html",
        "The model with the letter: confounded. Much of its score stays though the lungs are hidden.",
    ),
    Page(
        "scanned/letter.html",
        "Films named after their truth, read by the second model: with a P in the corner it calls healthy ones "
        "COVID-19, too. The red lies over the lungs as over the letter: a heatmap alone wouldn't tell.",
    ),
)


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo makes.")] = Path("demo"),
) -> None:
    """Draw phantoms, train a clean model and one that learned a planted letter, and let the report tell them apart.

    It needs no network and takes some minutes on two processor cores. Done again it resumes. What each step says is
    in logs/ in the demo's folder.

    Example: lungsight demo --out demo
    """
    _need("fastai", "matplotlib")
    console = Console()
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    steps, started = list(steps_in(out)), time.monotonic()
    for number, step in enumerate(steps, start=1):
        before = time.monotonic()
        console.print(f"{number}/{len(steps)}  {step.said} …", end="", highlight=False)
        if SCAN in step.commands:
            _choose_films(out / "test", out / "films")
        try:
            _run(step, logs)
        finally:
            console.print(f" {time.monotonic() - before:.0f} s", highlight=False)
    console.print(_box(out), f"{time.monotonic() - started:.0f} s in all. {RESEARCH_ONLY}", highlight=False)


def steps_in(out: Path) -> Iterator[Step]:
    """Every step, in order, that makes the demo in the folder ``out``."""

    def at(*parts: str) -> str:
        return str(out.joinpath(*parts))

    drawn: dict[str, tuple[str, ...]] = {CLEAN: (), LETTER: _LETTER}
    threads = ("--threads", str(max(1, cores() // len(drawn))))
    patients = ("--patients", str(TRAINED), "--seed", "1", *_PHANTOMS)
    yield Step(
        f"drawing {TRAINED} patients to train on, without and with a letter wherever they show COVID-19",
        {f"phantom-{m}": ("phantom", "--out", at("trained-on", m), *patients, *more) for m, more in drawn.items()},
    )
    others = ("--patients", str(TESTED), "--seed", "2", *_PHANTOMS, *_LETTER, "--strength", str(FOLLOWS))
    yield Step(
        f"drawing {TESTED} others to test on, the letter on some of either kind",
        {"phantom-test": ("phantom", "--out", at("test"), *others)},
    )
    training = ("train", "demo", "--no-results", *threads)
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
    yield Step("setting both tests side by side", {"compare": ("compare", *tests, *_QUICK, "--out", at("compared"))})
    page = ("--html", at("scanned", "letter.html"), "--restart")
    yield Step(
        "scanning some films with the letter model",
        {SCAN: ("scan", at("films"), "--model", at("runs", LETTER, "package"), *page)},
    )


def _need(*modules: str) -> None:
    """Raises ModuleNotFoundError, which the command line turns into the name of the extra, before minutes of work."""
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def _run(step: Step, logs: Path) -> None:
    """Raises Fault where a command fails."""
    with ThreadPoolExecutor(len(step.commands)) as together:
        logged = {name: logs / f"{name}.log" for name in step.commands}
        ended = together.map(_ended, step.commands.values(), logged.values())
        for name, status in zip(step.commands, list(ended), strict=True):
            if status:
                problem = f"ended with status {status}"
                hint = f"what it said is in {logged[name]}; the same command resumes"
                raise LungsightError(f"lungsight {step.commands[name][0]}", problem, hint)


def _ended(arguments: tuple[str, ...], log: Path) -> int:
    """Run one command, what it says into ``log``; its exit status."""
    with log.open("w", encoding="utf-8") as file:
        line = [sys.executable, "-m", "lungsight", *arguments]
        done = subprocess.run(line, env=_MEMORY | os.environ, stdout=file, stderr=subprocess.STDOUT, check=False)
    return done.returncode


def _choose_films(test: Path, films: Path) -> None:
    """Copies of a few of the test images, with names that tell their truth."""
    films.mkdir(parents=True, exist_ok=True)
    with (test / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for label in ("covid19", "no_pneumonia"):
        for lettered in (True, False):
            chosen = [row for row in rows if row["label"] == label and bool(row["shortcut"]) == lettered][:FILMS]
            for number, row in enumerate(chosen, start=1):
                name = f"{label} {'with' if lettered else 'without'} letter {number}.png"
                shutil.copyfile(test / row["path"], films / name)


def _box(out: Path) -> Panel:
    lines = Text()
    for page in PAGES:
        lines.append(f"{out / page.file}\n", style="bold")
        lines.append(f"{page.look_for}\n")
    lines.rstrip()
    return Panel(lines, title="Open these pages in a browser", title_align="left")
