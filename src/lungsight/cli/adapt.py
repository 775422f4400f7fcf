"""``lungsight adapt``: a package that learns from a hospital's own labelled images."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lungsight import RESEARCH_ONLY
from lungsight._environment import use_cores
from lungsight._text import as_words, signed
from lungsight.cli import output
from lungsight.cli.options import Classes, Columns, Data, Labels, naming, read_tables
from lungsight.errors import UnreadableImageError, printable

if TYPE_CHECKING:
    from lungsight.adaptation.adapt import Adaptation
    from lungsight.statistics.estimate import Estimate

_ERRORS_SHOWN = 5


def command(
    package: Annotated[
        str,
        typer.Argument(
            help="The model: a package's folder or zip, or 'released' for the one that ships with lungsight.",
            metavar="PACKAGE",
        ),
    ],
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder of the adapted package.")],
    columns: Columns = None,
    labels: Labels = None,
    classes: Classes = None,
    name: Annotated[
        str, typer.Option(help="Of the adapted package.", show_default="the package's own with -adapted")
    ] = "",
    even_if_worse: Annotated[
        bool,
        typer.Option(
            "--even-if-worse", help="Write the package although it is worse on patients that it didn't see."
        ),
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for what is computed from images.", show_default="user cache")
    ] = None,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap replicates of each interval.")] = 2000,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
) -> None:
    """Adapt PACKAGE to a hospital by its own labelled images, without torch.

    With at least 20 images with and 20 without the target, calibration and thresholds are fitted; with 40 of each, or
    100 in all, also the last layer, which makes both the score and the heatmap. All figures are cross-validated by
    patient, before and after. If the adapted model is worse there, nothing is written. Images that the package was
    trained on are left out. The same command goes on after an interruption.

    The adapted package has its own evidence and grade, and is used like any other. To train all layers on many
    images, with torch: lungsight train RECIPE --from PACKAGE.

    Example: lungsight adapt released --data our-hospital.csv --out adapted

    Example: lungsight adapt released --data reads.csv --label typical=covid19 --label negative=not_covid19
    --out adapted
    """
    use_cores(threads)
    from lungsight.adaptation.adapt import Settings, adapt_package
    from lungsight.adaptation.package import refuse_out, write_adapted
    from lungsight.datasets.label_mapping import classes_of
    from lungsight.package import ModelPackage, find_package
    from lungsight.statistics.bootstrap import Resampling

    opened = ModelPackage.open(find_package(package))
    refuse_out(opened, out)
    settings = Settings(
        name=name, classes=classes_of(classes or ()), cache=cache, resampling=Resampling(replicates=replicates),
        command=shlex.join(["lungsight", *sys.argv[1:]]),
    )  # fmt: skip
    adaptation = adapt_package(opened, read_tables(data, naming(columns, labels)), settings)
    console = output.console()
    _print_images(console, adaptation)
    _print_figures(console, adaptation)
    written = write_adapted(adaptation, out, even_if_worse=even_if_worse)
    grade = f" Grade: {written.verdict.words}." if written.verdict else ""
    output.say(console, f"Model package: {printable(out)}, {printable(written.id)}.{grade}\n{RESEARCH_ONLY}")
    if adaptation.prepared.problems:
        raise typer.Exit(UnreadableImageError.exit_status)


def _print_images(console: Console, adaptation: Adaptation) -> None:
    prepared = adaptation.prepared
    output.say(console, f"{prepared.eligible.came_in:,} images in the manifests")
    for step in prepared.eligible.flow:
        if step.left_out:
            output.say(console, f"  {step.left_out:,} left out: {step.reason}")
    for problem in prepared.problems[:_ERRORS_SHOWN]:
        output.say(console, f"  left out: {printable(problem)}")
    target = as_words(adaptation.package.description.target)
    images = prepared.images
    positives = int(images.positive.sum())
    output.say(
        console,
        f"{len(images):,} images adapted to, {positives:,} with {target}, of {adaptation.patients:,} patients",
    )
    for warning in prepared.warnings:
        output.say(console, f"Warning: {printable(warning)}")
    console.print()


def _print_figures(console: Console, adaptation: Adaptation) -> None:
    """The figures before and after, and what they show."""
    from lungsight.adaptation.figures import TITLES
    from lungsight.evaluation.formatting import withheld_because

    target = as_words(adaptation.package.description.target)
    columns = ["before", "after", "difference"]
    rows = (
        (
            TITLES[change.name].format(target=target),
            _short(change.before),
            _short(change.after),
            _signed(change.difference),
        )
        for change in adaptation.comparison.changes
    )
    console.print(output.table(["figure", *columns], rows, whole=columns, padding=(0, 2, 0, 0)))
    withheld = {
        TITLES[change.name].format(target=target): reason
        for change in adaptation.comparison.changes
        if (reason := withheld_because(change.after))
    }
    for title, reason in withheld.items():
        output.say(console, f"{title} is withheld: {reason}.")
    output.say(
        console,
        "Cross-validated: each image is predicted by an adaptation that didn't see its patient. 95% intervals of "
        f"patients.\n\n{adaptation.fitted}\n{adaptation.comparison.sentence}\n",
    )


def _short(e: Estimate) -> str:
    if e.value is None:
        return "withheld"
    return f"{e.value:.3f} (no interval)" if e.low is None else f"{e.value:.3f} ({e.low:.2f}–{e.high:.2f})"


def _signed(e: Estimate) -> str:
    if e.value is None:
        return "withheld"
    between = "no interval" if e.low is None else f"{signed(e.low, 3)} to {signed(e.high, 3)}"
    return f"{signed(e.value, 3)} ({between})"
