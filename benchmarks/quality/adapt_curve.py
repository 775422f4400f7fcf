"""What `lungsight adapt` gains at a hospital that the model never saw, by the number of its images.

    python benchmarks/quality/adapt_curve.py PACKAGE --data siim.csv --out docs/results/adapt.csv

For each number of images patients are drawn, several times; the package is adapted to their images and tested on the
images of all other patients. A package that was trained on the source is refused. Predictions are kept (`--cache`),
so a call that was cut off goes on. Rows of the same package and source in the file are replaced, others stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from lungsight._files import atomic_write
from lungsight._progress import ProgressBars
from lungsight.adaptation.adapt import predicted_anew
from lungsight.adaptation.figures import AUROC, BRIER, ECE, LEFT_OPEN, SENSITIVITY, SPECIFICITY, WITHIN_VIEW, compare
from lungsight.adaptation.learn import BIAS_ALONE, CrossValidated, Plan, learn
from lungsight.adaptation.prepare import Prepared, prepare
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError
from lungsight.package import ModelPackage, find_package
from lungsight.statistics.bootstrap import Resampling

SIZES = (20, 40, 100, 200, 400)
_FIGURES = (AUROC, WITHIN_VIEW, ECE, BRIER, SENSITIVITY, SPECIFICITY, LEFT_OPEN)
#: Fewer test images than this say nothing.
_FEWEST_TESTED = 100
#: Images on either side of a draw, fewer than the command accepts: at 20 images the curve shows why it refuses them.
_FEWEST_DRAWN, _TRIES = 8, 200
_RESAMPLING = Resampling(replicates=500)


def main(
    package: Annotated[str, typer.Argument(help="A package that never saw the source.")],
    data: Annotated[Path, typer.Option("--data", help="The manifest of the source.")],
    out: Annotated[Path, typer.Option("--out", help="The CSV file.")],
    draws: Annotated[int, typer.Option(help="How often patients are drawn, for each number of images.")] = 10,
    sizes: Annotated[list[int] | None, typer.Option("--images", help="Numbers of images.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for predictions.", show_default="user cache")] = None,
    any_package: Annotated[
        bool, typer.Option("--any-package", help="Also a package that saw the source: to try this script.")
    ] = False,
) -> None:
    """Write a row for each draw and figure."""
    opened, manifest = ModelPackage.open(find_package(package)), Manifest.read(data)
    seen = {source.name for source in opened.description.sources} & set(manifest.table["source"])
    if seen and not any_package:
        problem = f"{opened.id} was trained on {', '.join(sorted(seen))}"
        raise ManifestError(data, problem, "give a package that never saw this source")
    with ProgressBars() as tasks:
        prepared = prepare(opened, manifest, tasks, cache=cache)
    source = " + ".join(sorted(set(manifest.table["source"])))
    rows = list(_rows(prepared, opened, sizes or list(SIZES), draws))
    table = pd.DataFrame([{"model": opened.id, "source": source, **row} for row in rows])
    if out.is_file():
        before = pd.read_csv(out)
        table = pd.concat([before[(before["model"] != opened.id) | (before["source"] != source)], table])
    with atomic_write(out) as file:
        table.to_csv(file, index=False, lineterminator="\n")
    print(_summary(pd.DataFrame(rows)).to_string(index=False))


def _rows(prepared: Prepared, package: ModelPackage, sizes: list[int], draws: int) -> Iterator[dict[str, Any]]:
    for size in sizes:
        for draw in range(draws):
            chosen = draw_patients(prepared, size, np.random.default_rng([size, draw]))
            if chosen is None or (~chosen).sum() < _FEWEST_TESTED:
                break
            yield from _of_draw(prepared, package, chosen, {"images": size, "draw": draw})
            print(f"{size} images, draw {draw}", flush=True)


def draw_patients(prepared: Prepared, size: int, draw: np.random.Generator) -> NDArray[np.bool_] | None:
    """The images, bool [n], of patients drawn at random until there are ``size``; None if the hospital has too few.

    All images of a patient count, so that there may be a few more.
    """
    patients, positive = prepared.images.patients, prepared.images.positive
    counts = np.bincount(patients)
    for _ in range(_TRIES):
        order = draw.permutation(len(counts))
        enough = int(np.searchsorted(np.cumsum(counts[order]), size)) + 1
        chosen = np.isin(patients, order[:enough])
        if enough <= len(order) and min((chosen & positive).sum(), (chosen & ~positive).sum()) >= _FEWEST_DRAWN:
            return chosen
    return None


def _of_draw(
    prepared: Prepared, package: ModelPackage, chosen: NDArray[np.bool_], labels: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The figures on the patients that weren't drawn, before and after."""
    images, tested = prepared.images.of(chosen), prepared.images.of(~chosen)
    plan = Plan.of(images, package.description)
    learned = learn(images, plan)
    made = CrossValidated(
        learned.change.logits(tested), learned.probabilities(tested), ((learned.decision, np.arange(len(tested))),)
    )
    before = prepared.testset.where(~chosen)
    found = compare(before, predicted_anew(before, made), tested.patients, _RESAMPLING)
    strength = "bias alone" if learned.strength == BIAS_ALONE else f"{learned.strength:g}"
    for name in _FIGURES:
        change = found.get(name)
        yield labels | {
            "adapted_to": len(images), "with_target": int(images.positive.sum()), "step": str(plan.step),
            "penalty": strength, "figure": name, "before": change.before.value, "after": change.after.value,
            "difference": change.difference.value, "low": change.difference.low, "high": change.difference.high,
            "tested": len(tested), "patients": len(np.unique(tested.patients)),
        }  # fmt: skip


def _summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the draws, and the range of 90% of them."""
    grouped = rows.groupby(["figure", "images"], sort=False)
    return grouped.agg(
        before=("before", "mean"),
        after=("after", "mean"),
        least=("after", lambda x: x.quantile(0.05)),
        most=("after", lambda x: x.quantile(0.95)),
        draws=("draw", "nunique"),
    ).reset_index()


if __name__ == "__main__":
    typer.run(main)
