"""``lungsight phantom``: a folder of simulated chest X-rays, or a picture of a few of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lungsight import RESEARCH_ONLY
from lungsight._progress import ProgressBars
from lungsight.cli import streams
from lungsight.datasets.phantom import Shortcut, write_collection
from lungsight.datasets.phantom.gallery import write_gallery


def command(
    out: Annotated[Path | None, typer.Option(help="Folder for the images, the masks and manifest.csv.")] = None,
    patients: Annotated[int, typer.Option(min=1, help="How many patients; some have two images.")] = 200,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Height of the images in pixels.")] = 384,
    shortcut: Annotated[Shortcut | None, typer.Option(help="Plant a mark that has nothing to do with lungs.")] = None,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="How closely the shortcut follows covid19: 0 not at all, 1 always.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 0,
    gallery: Annotated[
        Path | None, typer.Option(help="Draw one picture of a few phantoms, their masks outlined, instead.")
    ] = None,
) -> None:
    """Draw simulated chest X-rays whose truth is known: lungs, disease, and any planted shortcut.

    Examples:

    [bold]lungsight phantom --out phantoms --shortcut corner_letter --strength 0.8[/bold]

    [bold]lungsight phantom --gallery docs/pictures/phantoms.png[/bold]
    """
    console = streams.console()
    if (out is None) == (gallery is None):
        raise typer.BadParameter("give either --out FOLDER or --gallery FILE.png")
    if gallery is not None:
        write_gallery(gallery, seed=seed, size=size)
        console.print(f"{gallery}: phantoms with their lungs and lesions outlined.", soft_wrap=True)
    if out is not None:
        _write_with_progress(console, out, patients, size, shortcut, strength, seed)
    console.print(RESEARCH_ONLY, style="dim")


def _write_with_progress(
    console: Console, out: Path, patients: int, size: int, shortcut: Shortcut | None, strength: float, seed: int
) -> None:
    with ProgressBars(streams.console(stderr=True)) as bars:
        manifest = write_collection(
            out,
            patients=patients,
            seed=seed,
            size=size,
            shortcut=shortcut,
            strength=strength if shortcut else 0.0,
            progress=bars.counting("Drawing"),
        )
    counts = ", ".join(f"{n} {label}" for label, n in manifest.table["label"].value_counts().sort_index().items())
    console.print(f"{len(manifest)} images of {patients} patients ({counts})", soft_wrap=True)
    console.print(f"Manifest: {out / 'manifest.csv'}", soft_wrap=True)
