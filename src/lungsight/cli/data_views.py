"""``lungsight data views``: a manifest with the view, AP or PA, of images whose table doesn't state it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lungsight._progress import ProgressBars
from lungsight.cli import output
from lungsight.cli.options import Columns, Labels, naming, read_tables
from lungsight.datasets.cache_folder import cache_folder
from lungsight.datasets.manifest import Manifest
from lungsight.errors import PackageError


def views(
    manifest: Annotated[Path, typer.Argument(help="A table made by `lungsight data build`, or your own.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, .csv or .parquet; it may be the same file.")],
    columns: Columns = None,
    labels: Labels = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for what is known of images seen before.", show_default="user cache"),
    ] = None,
) -> None:
    """Predict the view, AP or PA, of every frontal image whose view isn't stated.

    The column `view_guess` gets the prediction of the bundled view classifier; it stays empty where the classifier is
    unsure, and where the input gate refuses the image. The column `view` stays as it is.
    """
    from lungsight.evaluation.answer_store import OF_IMAGES, AnswerStore
    from lungsight.evaluation.testset.guessed_views import manifest_with_guessed_views
    from lungsight.package.bundled import package_with_view_classifier

    if out.suffix not in (".csv", ".parquet"):
        raise typer.BadParameter(f"--out {out}: a manifest ends in .csv or .parquet.")
    (images,) = read_tables([manifest], naming(columns, labels))
    package = package_with_view_classifier()
    if package is None:
        hint = "install lungsight anew, or fill in the column view yourself"
        raise PackageError("view classifier", "none is bundled with this installation", hint)
    bars = ProgressBars(output.console(stderr=True))
    with bars, AnswerStore.open((cache or cache_folder()) / OF_IMAGES) as store:
        seen = bars.counting("predicting views")
        filled = manifest_with_guessed_views(images, package, progress=seen, store=store)
    filled.write(out)
    output.say(output.console(), f"{_counts(images, filled)} Written to {out}.")


def _counts(before: Manifest, after: Manifest) -> str:
    known, new = before.projection, after.projection[before.projection == ""]
    asked = after.is_frontal & after.is_projection
    return (
        f"{len(after):,} images: the view of {int((known != '').sum()):,} was known; predicted are "
        f"{int((new == 'AP').sum()):,} AP and {int((new == 'PA').sum()):,} PA; of "
        f"{int((asked & after.projection.eq('')).sum()):,} frontal ones it stays unknown."
    )
