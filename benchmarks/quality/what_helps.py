"""What each way of training does to a detector at hospitals it never saw.

    python benchmarks/quality/what_helps.py --data all.csv --work FOLDER --out docs/results/what_helps.csv

Each variant is one change to the same plain training. It is trained without ``siim`` and tested on it, and the same
with ``ieee8023``: the two sources in which COVID-19 and other images come from the same hospitals. Small and short
(192 px, 4,500 images), so that many can be tried; differences of a few points are within the noise of one seed, which
the plain training with three seeds shows. The split by patient is made once. Resumable: finished variants stand in
FOLDER/results.jsonl.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from rich.console import Console

from lungsight.datasets.manifest import Manifest
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.training import training_set
from lungsight.training.auxiliary_models import AuxiliaryModels
from lungsight.training.batches import ProcessShard, build_loaders
from lungsight.training.image_cache import ImageCache, default_cache_folder
from lungsight.training.learner import build_learner
from lungsight.training.recipe import Recipe, load_recipe
from lungsight.training.run import Caches, build_network_of
from lungsight.training.run_log import log_to
from lungsight.training.stages import Stages

HELD_OUT = ("siim", "ieee8023")
_AT_MOST = 1500
_SOFT = "soft_labels={indeterminate={covid19=0.55,other_pneumonia=0.35,no_pneumonia=0.1},"
_SOFT += "atypical={covid19=0.15,other_pneumonia=0.7,no_pneumonia=0.15}}"
_LUNGS = ("geometry=lungs", "margin=0.1")
_TWICE = "stages=[{epochs=1, frozen=true, lr=2e-3}, {epochs=7, lr=[1e-4, 1e-3]}]"
_LONG = "stages=[{epochs=1, frozen=true, lr=2e-3}, {epochs=8, lr=[1e-4, 1e-3]}]"
#: Four changes at once, which further ones are tried on top of.
COMBINED = (*_LUNGS, "fine_maps=true", "guidance.weight=1.0", _SOFT)

#: What all variants share: small and short.
PLAIN = (
    "image_size=192",
    "split.unit=given",
    "split.find_duplicates=false",
    "fixed_layers=3",
    "logit_penalty=0",
    "label_smoothing=0",
    "soft_labels={}",
    "guidance.weight=0",
    "weight_averaging.decay=0",
    "geometry=squash",
    "fine_maps=false",
    "sampling.images_per_epoch=1500",
    "stages=[{epochs=1, frozen=true, lr=2e-3}, {epochs=3, lr=[1e-4, 1e-3]}]",
)

#: Each variant is the plain training with these keys changed.
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "plain": (),
    "plain, seed 1": ("seed=1",),
    "plain, seed 2": ("seed=2",),
    "augmentation of photographs only": (
        "augmentation={flip=0.5, rotate=10, zoom=0.1, warp=0.2, lighting=0.2, gamma=0, noise=0, blur=0, coarsen=0,"
        " cut_out=0, probability=0.75}",
    ),
    "no augmentation": (
        "augmentation={flip=0, rotate=0, zoom=0, shift=0, warp=0, lighting=0, gamma=0, noise=0, blur=0, coarsen=0,"
        " cut_out=0, probability=0}",
    ),
    "no balance": ("sampling.balance=[]",),
    "balance over classes only": ('sampling.balance=["class"]',),
    "balance over sources, then classes": ('sampling.balance=["source", "class"]',),
    "logit penalty 0.02": ("logit_penalty=0.02",),
    "label smoothing 0.1": ("label_smoothing=0.1",),
    "averaged weights": ("weight_averaging.decay=0.99",),
    "soft labels": (_SOFT,),
    "guidance to boxes": ("guidance.weight=0.5",),
    "guidance and soft labels": ("guidance.weight=0.5", _SOFT),
    "fine maps": ("fine_maps=true",),
    "fine maps, guidance, soft labels": ("fine_maps=true", "guidance.weight=1.0", _SOFT),
    "all layers free": ("fixed_layers=0",),
    "256 px": ("image_size=256",),
    "EfficientNet-Lite1": ("backbone=tf_efficientnet_lite1",),
    "EfficientNet-Lite2": ("backbone=tf_efficientnet_lite2",),
    "lung crop": _LUNGS,
    "lung crop, fine maps, guidance, soft labels": COMBINED,
    "lung crop, fine maps, guidance, soft labels, sources then classes": (
        *COMBINED,
        'sampling.balance=["source", "class"]',
    ),
    "combined, seed 1": (*COMBINED, "seed=1"),
    "combined, seed 2": (*COMBINED, "seed=2"),
    "combined, 256 px": (*COMBINED, "image_size=256"),
    "combined, twice as long": (*COMBINED, _TWICE),
    "combined, three times as long": (*COMBINED, _LONG),
    "combined, three times as long, logit penalty 0.05": (*COMBINED, _LONG, "logit_penalty=0.05"),
    "combined, three times as long, averaged weights, logit penalty 0.05": (
        *COMBINED,
        _LONG,
        "logit_penalty=0.05",
        "weight_averaging.decay=0.99",
    ),
    "combined, logit penalty 0.02": (*COMBINED, "logit_penalty=0.02"),
    "combined, averaged weights": (*COMBINED, "weight_averaging.decay=0.99"),
    "combined, without balance": (*COMBINED, "sampling.balance=[]"),
    "combined, EfficientNet-Lite1": (*COMBINED, "backbone=tf_efficientnet_lite1"),
    "combined, EfficientNet-Lite2": (*COMBINED, "backbone=tf_efficientnet_lite2"),
    "twice as long": (_TWICE,),
}


def main(
    data: Annotated[Path, typer.Option(help="The manifest of all sources.")],
    work: Annotated[Path, typer.Option(help="Folder of split, networks' answers and records.")],
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded images.")] = None,
    parts: Annotated[
        Path | None, typer.Option(help="Folder of a trained lung_fields.onnx, with its description.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this variant.")] = None,
    held_out: Annotated[list[str] | None, typer.Option(help="Only this source.")] = None,
) -> None:
    """Train every variant without each held-out source, and keep what it says of the images it never saw."""
    work.mkdir(parents=True, exist_ok=True)
    whole = _divided(Manifest.read(data), work / "manifest.csv")
    for name in only or VARIANTS:
        for source in held_out or HELD_OUT:
            answers = work / f"{name} without {source}.npz"
            if not answers.is_file():
                _train(name, source, whole, answers, cache, parts)
                print(f"{name}, without {source}: done", flush=True)


def _divided(manifest: Manifest, place: Path) -> Manifest:
    """Split once by patient, near-copies together, over all sources: each variant leaves one source out of it."""
    if not place.is_file():
        recipe = load_recipe("released", (_SOFT,))
        chosen, left_out = training_set.choose(recipe, manifest)
        training_set.divide(recipe, chosen, left_out).manifest.write(place)
    return Manifest.read(place)


def _train(name: str, source: str, whole: Manifest, answers: Path, cache: Path | None, parts: Path | None) -> None:
    recipe = load_recipe("released", (*PLAIN, *VARIANTS[name]))
    elsewhere = whole.where(whole.table["source"] != source)
    chosen, left_out = training_set.choose(recipe, elsewhere)
    images = training_set.divide(recipe, chosen, left_out)
    folder = answers.with_suffix("")
    folder.mkdir(exist_ok=True)
    seen = Caches.of(recipe, AuxiliaryModels(lung_segmentation=parts), cache or default_cache_folder())
    paths = [*images.manifest.table["path"], *whole.table["path"]]
    if seen.lungs is not None:
        seen.lungs.prepare(paths)
    seen.images.prepare(paths)
    console = Console(quiet=True)
    torch.manual_seed(recipe.seed)
    network, _ = build_network_of(recipe)
    loaders = build_loaders(
        recipe, images, seen.images, shard=ProcessShard(), device=torch.device("cpu"),
        attention=seen.attention_targets(recipe, images),
    )  # fmt: skip
    learner = build_learner(recipe, network, loaders, folder=folder)
    Stages(recipe, folder, learner, ProcessShard(), log_to(folder / "log.txt", console, writes=True), console).run()
    _keep_answers(learner.model.eval(), recipe, _tested(whole, source), seen.images, answers)


def _tested(whole: Manifest, source: str) -> Manifest:
    """Images of the held-out source (at most 1,500, whole patients) and the test images of the others. Of the
    held-out source, patients and copies that the split put together with others are kept: none of them was trained
    on."""
    table = whole.table
    here = table["source"] == source
    patients = pd.Series(table.loc[here, "patient"].unique()).sample(frac=1, random_state=0)
    sizes = table[here].groupby("patient").size().reindex(patients).cumsum()
    drawn = set(sizes.index[sizes <= _AT_MOST])
    return whole.where((here & table["patient"].isin(drawn)) | (~here & (table["split"] == "test")))


@torch.no_grad()
def _keep_answers(network: CamClassifier, recipe: Recipe, tested: Manifest, kept: ImageCache, place: Path) -> None:
    paths = list(tested.table["path"])
    logits, maps = [], []
    for start in range(0, len(paths), 16):
        pixels = np.stack([kept.load(path) for path in paths[start : start + 16]])[:, None].astype(np.float32) / 255
        both = [network(torch.from_numpy(p)) for p in (pixels, pixels[..., ::-1].copy())]
        logits.append(np.stack([output.logits.numpy() for output in both], axis=1))
        maps.append(both[0].maps.numpy().astype(np.float16))
    partial = place.with_suffix(".part.npz")
    np.savez(
        partial, paths=np.array(paths), classes=np.array(list(recipe.classes)), logits=np.concatenate(logits),
        maps=np.concatenate(maps),
    )  # fmt: skip
    partial.replace(place)


if __name__ == "__main__":
    typer.run(main)
