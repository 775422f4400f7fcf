"""Sources held out whole: their manifests, and how well each stage of a training does there.

    python benchmarks/quality/held_out.py divide all.csv --work FOLDER
    lungsight train balanced --data FOLDER/without-siim.csv --out FOLDER/runs/without-siim --set split.unit=given \\
        --set split.as_in= --set split.find_duplicates=false
    python benchmarks/quality/held_out.py score FOLDER/runs/without-siim FOLDER/siim.csv --out FOLDER/without-siim.csv

The patients of a source held out are dealt into two halves. How long to train, and by which recipe, is chosen on one
of them, which counts as validation; what is reported is measured on the other. ``score`` reads the first unless it is
given ``--side test``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import typer
from numpy.typing import NDArray
from scipy.special import softmax

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.search import find_duplicates
from lungsight.datasets.leakage import leak_groups
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TEST, VALIDATION, split_by_group
from lungsight.inference import ImageChecker
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.package import ModelPackage, find_package
from lungsight.package.bundled import DEFAULT
from lungsight.statistics.bootstrap import Resampling, Sample
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.ranking import auroc, auroc_within, ranking_estimate
from lungsight.training import training_set
from lungsight.training.auxiliary_models import AuxiliaryModels
from lungsight.training.image_cache import ImageCache, default_cache_folder
from lungsight.training.recipe import Recipe, load_recipe
from lungsight.training.run import Caches, build_network_of

HELD_OUT = ("siim", "ieee8023")
_TARGET, _NORMAL = "covid19", "no_pneumonia"
_BATCH = 16
_COLUMNS = ["source", "side", "stage", "metric", "value", "low", "high", "n", "positives", "patients"]
_RESAMPLING = Resampling(replicates=1000)

app = typer.Typer(add_completion=False)
Work = Annotated[Path, typer.Option("--work", help="Folder of the manifests.")]


@app.command()
def divide(
    data: Annotated[Path, typer.Argument(help="The manifest of all sources.")],
    work: Work,
    recipe: Annotated[str, typer.Option(help="Whose split and classes are used.")] = "balanced",
    views: Annotated[
        str, typer.Option(help="The package whose view classifier guesses what isn't stated.")
    ] = DEFAULT,
) -> None:
    """Write all.csv with its split and views, and for each source held out without-SOURCE.csv and SOURCE.csv."""
    work.mkdir(parents=True, exist_ok=True)
    settings = load_recipe(recipe)
    chosen, left_out = training_set.choose(settings, Manifest.read(data))
    pairs = find_duplicates(fingerprint_manifest(chosen))
    divided = training_set.divide(settings, chosen, left_out, pairs=pairs).manifest
    images = _with_guessed_views(divided, ModelPackage.open(find_package(views)))
    images.write(work / "all.csv")
    kept = chosen.table["path"].isin(images.table["path"])
    whole, groups = chosen.where(kept), leak_groups(chosen, pairs)[kept.to_numpy()]
    whole = whole.with_columns(split=images.table["split"], view_guess=images.table["view_guess"])
    for source in HELD_OUT:
        there = (whole.table["source"] == source).to_numpy()
        copies = np.isin(groups, groups[there]) & ~there
        whole.where(pd.Series(~there & ~copies)).write(work / f"without-{source}.csv")
        tested = whole.where(pd.Series(there & ~whole.table["label"].isin(list(settings.soft_labels)).to_numpy()))
        _, patients = np.unique(tested.patient_key.to_numpy(dtype=str), return_inverse=True)
        halves = split_by_group(patients, list(tested.table["label"]), validation=0.5, test=0.5, seed=0)
        tested.with_columns(split=halves).write(work / f"{source}.csv")
        print(f"{source}: {there.sum()} images held out; {copies.sum()} of other sources left out, copies of them")


def _with_guessed_views(manifest: Manifest, package: ModelPackage) -> Manifest:
    checker = ImageChecker(gate=package.gate(1))
    guesses = []
    for path, stated in zip(manifest.table["path"], manifest.projection, strict=True):
        view = None if stated else checker.check_input(package.description.preprocessing.read(Path(path))).view
        guesses.append(str(view.view or "") if view else "")
    return manifest.with_columns(view_guess=guesses)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="A run whose recipe keeps its stages.")],
    data: Annotated[Path, typer.Argument(help="The images, with the column split.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    side: Annotated[str, typer.Option(help="validation to choose by, test to report.")] = VALIDATION,
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded images.")] = None,
) -> None:
    """Write AUROCs at the end of each stage, by source, and within the views where they are known."""
    if side not in (VALIDATION, TEST):
        raise typer.BadParameter("--side is validation or test.")
    recipe = load_recipe(str(run / "recipe.toml"))
    tested = Manifest.read(data)
    tested = tested.where(tested.table["split"] == side)
    models = AuxiliaryModels(lung_segmentation=run / "lung_fields")
    images = Caches.of(recipe, models, cache or default_cache_folder()).images
    network, _ = build_network_of(recipe.model_copy(update={"weights": "random"}))
    rows = []
    for place in sorted((run / "stages").glob("*.safetensors"), key=lambda file: int(file.stem)):
        network.load_state_dict(safetensors.torch.load_file(place))
        probabilities = _predicted(network.eval(), images, list(tested.table["path"]))
        for source, estimate in _figures(tested, recipe, probabilities):
            rows.append(
                asdict(estimate) | {"source": source, "side": side, "stage": place.stem, "metric": estimate.name}
            )
            print(f"{source}, stage {place.stem}: {estimate.name} {estimate}", flush=True)
    table = pd.DataFrame(rows)[_COLUMNS]
    table[["value", "low", "high"]] = table[["value", "low", "high"]].round(4)
    table.to_csv(out, index=False)


@torch.no_grad()
def _predicted(network: CamClassifier, images: ImageCache, paths: list[str]) -> NDArray[np.float64]:
    logits = []
    for start in range(0, len(paths), _BATCH):
        pixels = np.stack([images.load(path) for path in paths[start : start + _BATCH]])[:, None]
        logits.append(network(torch.from_numpy(pixels.astype(np.float32) / 255)).logits.numpy())
    return np.asarray(softmax(np.concatenate(logits).astype(np.float64), axis=1))


def _figures(tested: Manifest, recipe: Recipe, probabilities: NDArray[np.float64]) -> Iterator[tuple[str, Estimate]]:
    """Of the target against each other class, and of all disease against the healthy class."""
    labels = tested.table["label"]
    classes = list(recipe.classes)
    target, healthy = probabilities[:, classes.index(_TARGET)], probabilities[:, classes.index(_NORMAL)]
    diseases = [label for name in classes if name != _NORMAL for label in recipe.classes[name]]
    questions = [(name, [_TARGET], recipe.classes[name], target) for name in classes if name != _TARGET]
    asked = [(f"{_TARGET} against {name}", positive, negative, s) for name, positive, negative, s in questions]
    asked.append(("disease against none", diseases, recipe.classes[_NORMAL], 1 - healthy))
    for source in sorted(tested.table["source"].unique()):
        for name, positive, negative, values in asked:
            rows = ((tested.table["source"] == source) & labels.isin([*positive, *negative])).to_numpy()
            is_positive = labels.isin(list(positive)).to_numpy()[rows]
            if min(is_positive.sum(), (~is_positive).sum()) < 10:
                continue
            patients = pd.factorize(tested.patient_key[rows])[0].astype(np.int64)
            sample = Sample(patients, is_positive, name)
            yield (
                source,
                ranking_estimate(f"auroc {name}", sample, auroc(values[rows], is_positive), resampling=_RESAMPLING),
            )
            view = tested.projection.to_numpy(dtype=str)[rows]
            if len(set(view) - {""}) > 1:
                known = view != ""
                part = sample.where(known)
                yield (
                    source,
                    auroc_within(
                        f"auroc {name}, within views", part, values[rows][known], view[known], resampling=_RESAMPLING
                    ),
                )


if __name__ == "__main__":
    app()
