"""``lungsight phantom``: a folder of simulated chest X-rays, or a picture of a few of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lungsight import RESEARCH_ONLY
from lungsight._progress import ProgressBars
from lungsight.cli import output
from lungsight.datasets.phantom import Shortcut, write_collection
from lungsight.datasets.phantom.gallery import write_gallery
from lungsight.radiograph import View


class PhantomView(StrEnum):
    """The views that a phantom can be drawn in."""

    PA = "PA"
    AP = "AP"


def command(
    out: Annotated[Path | None, typer.Option(help="Folder for the images, the masks and manifest.csv.")] = None,
    patients: Annotated[int, typer.Option(min=1, help="How many patients; some have two images.")] = 200,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Height of the images in pixels.")] = 384,
    shortcut: Annotated[Shortcut | None, typer.Option(help="Plant what has nothing to do with the disease.")] = None,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="How closely the shortcut follows covid19: 0 not at all, 1 always.")
    ] = 1.0,
    view: Annotated[
        PhantomView | None,
        typer.Option(help="PA standing or AP in bed, for all images; otherwise PA standing and AP sitting."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 0,
    gallery: Annotated[
        Path | None,
        typer.Option(
            help="Draw one picture of a few phantoms instead: their masks outlined, or standing and in bed with "
            "--shortcut view."
        ),
    ] = None,
) -> None:
    """Draw simulated chest X-rays whose label is known: lungs, disease, and any planted shortcut.

    Examples:
        [bold]lungsight phantom --out phantoms --shortcut corner_letter --strength 0.8[/bold]

        [bold]lungsight phantom --gallery docs/pictures/phantoms.png[/bold]
    """
    if (out is None) == (gallery is None):
        raise typer.BadParameter("give either --out FOLDER or --gallery FILE.png")
    console = output.console()
    if gallery is not None:
        write_gallery(gallery, seed=seed, size=size, views=shortcut is Shortcut.VIEW)
        output.say(console, f"{gallery}: a picture of phantoms.")
    if view is not None and shortcut is Shortcut.VIEW:
        raise typer.BadParameter("the shortcut view decides the view of each image: leave out --view")
    if out is not None:
        with ProgressBars(output.console(stderr=True)) as bars:
            manifest = write_collection(
                out, patients=patients, seed=seed, size=size, shortcut=shortcut,
                strength=strength if shortcut else 0.0, view=View(view.value) if view else None,
                progress=bars.counting("Drawing"),
            )  # fmt: skip
        labels = manifest.table["label"].value_counts().sort_index()
        counts = ", ".join(f"{n} {label}" for label, n in labels.items())
        output.say(console, f"{len(manifest)} images of {patients} patients ({counts})")
        output.say(console, f"Manifest: {out / 'manifest.csv'}")
    console.print(RESEARCH_ONLY, style="dim")
