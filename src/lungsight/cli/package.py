"""``lungsight package``: verify, describe and complete a model package; wrap a network from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lungsight import RESEARCH_ONLY
from lungsight.cli import output
from lungsight.cli.package_wrap import wrap
from lungsight.components.decision import decision_words
from lungsight.package import ModelPackage, PackageDescription, find_package
from lungsight.package import complete as complete_package
from lungsight.package.descriptions_text import (
    calibration_in_words,
    categories_in_words,
    costs_in_words,
    decision_in_words,
    parts_in_words,
    sources_in_words,
)
from lungsight.package.storage import EVIDENCE

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Verify and describe a model package, put a test's evidence into it, or wrap a network from elsewhere.",
    epilog="Example: [bold]lungsight package verify detector.zip[/bold]",
)
Package = Annotated[
    str,
    typer.Argument(
        help="The model: a bundled one by its name, or a package's folder or zip.", metavar="NAME_OR_PATH"
    ),
]


@app.command()
def verify(package: Package) -> None:
    """Check every file of a model package, and that its networks give the reference outputs on this machine.

    The sha256 of every file is compared, and every network is run on the package's reference images. The exit status
    is 0 when all is well, else 3 with one sentence that says what is wrong.

    Example: [bold]lungsight verify released[/bold]
    """
    opened = ModelPackage.open(find_package(package))
    opened.verify()
    files = len(opened.description.files) + 1
    print(f"{opened.id}: all {files} files are as they were written, and the network gives its reference outputs.")
    print(RESEARCH_ONLY)


@app.command()
def describe(package: Package) -> None:
    """Print what a model is for, what it was trained on, and how it decides."""
    opened = ModelPackage.open(find_package(package))
    console = output.console()
    more = ("trained on", _trained_on(opened)), ("grade", _verdict(opened))
    console.print(output.facts((("model", opened.id), *_facts(opened.description), *more)))
    console.print(_sources(opened.description))
    console.print(f"\n[bold]{RESEARCH_ONLY}[/]", highlight=False)


@app.command()
def complete(
    package: Annotated[Path, typer.Argument(help="The model package: a folder.", metavar="PACKAGE")],
    evaluation: Annotated[
        Path, typer.Argument(help="The folder that `lungsight evaluate` wrote.", metavar="EVALUATION")
    ],
) -> None:
    """Put what a test found out into the package: model card and evidence.json.

    The model stays the same, and so does its id. Evidence of another model is refused.

    Example: lungsight package complete runs/baseline/package tested
    """
    written = complete_package(package, evaluation)
    print(f"{written.model_id}: holds the model card and evidence.json of {evaluation}.")
    print(RESEARCH_ONLY)


app.command()(wrap)


def _facts(stated: PackageDescription) -> Iterator[tuple[str, str]]:
    prepared = stated.preprocessing
    yield "intended use", stated.intended_use
    yield "made", f"{stated.created:%Y-%m-%d} with lungsight {stated.lungsight_version}"
    yield "classes", f"{', '.join(stated.classes)}; the heatmap shows {stated.target}"
    yield "network", f"{stated.backbone}, started from {stated.initial_weights}"
    size = f"{prepared.image_size} x {prepared.image_size} pixels"
    yield "looks at", f"{size} (geometry {prepared.geometry}, intensity {prepared.intensity})"
    yield from ((heading.lower(), said.replace("*", "")) for heading, said in parts_in_words(stated).items())
    yield "calibration", calibration_in_words(stated.calibration).replace("*", "")
    yield "decision", decision_in_words(stated.decision, stated.target).replace("*", "")
    if stated.decision.by_source:
        yield "within sources", "\n".join(sources_in_words(stated.decision))
        yield "other limits", costs_in_words(stated.decision)
    for decision, said in categories_in_words(stated.categories).items():
        yield f"readers on {decision_words(decision, stated.target)}", said
    yield "split by", stated.split_unit


def _trained_on(package: ModelPackage) -> str:
    images = package.trained_on
    splits = Counter(image.split for image in images)
    patients = len({image.patient for image in images})
    counted = ", ".join(f"{count:,} {split}" for split, count in splits.items())
    return f"{len(images):,} images ({counted or 'none'}) of {patients:,} patients"


def _verdict(package: ModelPackage) -> str:
    if EVIDENCE not in package.description.files:
        return "none: the package holds no evidence"
    verdict = package.verdict
    if verdict is None:
        return f"none: {EVIDENCE} holds no grade"
    sentences = f"{verdict.sentence} {verdict.shortcut_sentence}".strip()
    return f"{verdict.words} (tested {verdict.made}). {sentences}"


def _sources(stated: PackageDescription) -> Table:
    rows = (
        (
            source.name,
            source.images,
            source.patients,
            ", ".join(f"{name} {count:,}" for name, count in source.labels.items()),
            source.reference_standard,
            source.licence,
        )
        for source in stated.sources
    )
    headings = ("source", "images", "patients", "by class", "labels rest on", "licence")
    return output.table(headings, rows, numbers=["images", "patients"], title="\nsources", padding=(0, 2, 0, 0))
