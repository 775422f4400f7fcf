"""``lungsight demo``: two models, one of which learned a planted letter, and the report that tells them apart."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from lungsight import RESEARCH_ONLY
from lungsight.faults import Fault

CLEAN, LETTER = "clean", "letter"
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
    "OMP_WAIT_POLICY": "passive",
}


@dataclass(frozen=True)
class Step:
    """One command of the demo, and what it does in a few words."""

    said: str
    arguments: tuple[str, ...]


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
        if step.arguments[0] == "scan":
            _choose_films(out / "test", out / "films")
        try:
            _run(step, logs / f"{number:02}-{step.arguments[0]}.log")
        finally:
            console.print(f" {time.monotonic() - before:.0f} s", highlight=False)
    console.print(_box(out), f"{time.monotonic() - started:.0f} s in all. {RESEARCH_ONLY}", highlight=False)


def steps_in(out: Path) -> Iterator[Step]:
    """Every command, in order, that makes the demo in the folder ``out``."""

    def at(*parts: str) -> str:
        return str(out.joinpath(*parts))

    drawn: dict[str, tuple[str, ...]] = {CLEAN: (), LETTER: _LETTER}
    for model, letter in drawn.items():
        carrying = ", a letter in the corner wherever they show COVID-19" if letter else ""
        options = ("--patients", str(TRAINED), "--seed", "1", *_PHANTOMS, *letter)
        yield Step(
            f"drawing {TRAINED} patients to train on{carrying}",
            ("phantom", "--out", at("trained-on", model), *options),
        )
    options = ("--patients", str(TESTED), "--seed", "2", *_PHANTOMS, *_LETTER, "--strength", str(FOLLOWS))
    yield Step(
        f"drawing {TESTED} others to test on, the letter on some of either kind",
        ("phantom", "--out", at("test"), *options),
    )
    for model in drawn:
        data = at("trained-on", model, "manifest.csv")
        yield Step(
            f"training the {model} model",
            ("train", "demo", "--data", data, "--no-results", "--out", at("runs", model)),
        )
    for model in drawn:
        package, data = at("runs", model, "package"), at("test", "manifest.csv")
        asked = ("--audit-images", "80", "--look-alikes", *_QUICK)
        yield Step(
            f"testing the {model} model, audits included",
            ("evaluate", package, "--data", data, *asked, "--out", at("tested", model)),
        )
    tests = [at("tested", model) for model in drawn]
    yield Step("setting both tests side by side", ("compare", *tests, *_QUICK, "--out", at("compared")))
    page = ("--html", at("scanned", "letter.html"), "--restart")
    yield Step(
        "scanning some films with the letter model",
        ("scan", at("films"), "--model", at("runs", LETTER, "package"), *page),
    )


def _need(*modules: str) -> None:
    """Raises ModuleNotFoundError, which the command line turns into the name of the extra, before minutes of work."""
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def _run(step: Step, log: Path) -> None:
    """Raises Fault where the command fails."""
    with log.open("w", encoding="utf-8") as file:
        line = [sys.executable, "-m", "lungsight", *step.arguments]
        done = subprocess.run(line, env=_MEMORY | os.environ, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        fault = f"ended with status {done.returncode}"
        raise Fault(f"lungsight {step.arguments[0]}", fault, f"what it said is in {log}; the same command resumes")


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
