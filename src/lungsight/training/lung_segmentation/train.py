"""A training of the lung fields, from a recipe and a manifest to the network that a package carries."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import fastai.callback.schedule  # noqa: F401 - puts fit_one_cycle on the learner
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import Adam
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from lungsight._files import atomic_write, write_whole
from lungsight._progress import ProgressBars
from lungsight.components.lung_segmentation import LungSegmentationDescription
from lungsight.datasets.manifest import Manifest
from lungsight.errors import LungsightError, RecipeError
from lungsight.networks.lung_network import LungNetwork, build_lung_network, check_image_size, layer_groups
from lungsight.training.callbacks import EpochSeed
from lungsight.training.checkpoint import Checkpoint, Progress
from lungsight.training.lung_segmentation.export import DESCRIPTION, NETWORK, export_lung_fields
from lungsight.training.lung_segmentation.images import ChangedImages, LungImages, WatchedImages, gather
from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe
from lungsight.training.progress import TrainingBars, silence

_HISTORY = ("epoch", "train_loss", "valid_loss", "valid_dice", "seconds")


def train_lung_fields(
    recipe: LungSegmentationRecipe,
    manifest: Manifest,
    folder: Path,
    *,
    seed: int = 0,
    cache: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train on the manifest's rows that have a lung mask, or go on where a training in ``folder`` was cut off, and
    answer ``folder``: it then holds ``lung_fields.onnx``, ``lung_fields.json``, ``run.json`` and ``history.csv``.

    The same seed gives the same network on the same machine. Raises InvalidRecipe where ``folder`` holds another
    training, InvalidManifest where the images won't do, Fault where the loss isn't a number any more."""
    check_image_size(recipe.image_size)
    console = console or Console(stderr=True)
    _claim(folder, recipe, manifest, seed)
    if (folder / NETWORK).is_file() and (folder / DESCRIPTION).is_file():
        console.print(f"{folder} holds this training already, finished.")
        return folder
    torch.manual_seed(seed)
    network, origin = build_lung_network(weights=recipe.weights)
    images = gather(recipe, manifest, seed=seed, cache=cache, console=console)
    learner = _learner(recipe, network, _loaders(recipe, images, seed), folder, seed)
    _fit(recipe, learner, folder, console)
    description = LungSegmentationDescription(
        image_size=recipe.image_size,
        threshold=recipe.threshold,
        trained_on=images.trained_on,
        initial_weights=origin,
    )
    export_lung_fields(network, description, folder)
    return folder


def _claim(folder: Path, recipe: LungSegmentationRecipe, manifest: Manifest, seed: int) -> None:
    """Write down what is trained here; refuse a folder where something else is."""
    rows = manifest.table[["path", "lung_mask"]]
    named = hashlib.sha256("\0".join(rows[rows["lung_mask"] != ""].to_numpy().ravel()).encode("utf-8", "replace"))
    stated = {"recipe": recipe.model_dump(mode="json"), "seed": seed, "images": named.hexdigest()}
    place = folder / "run.json"
    if place.is_file():
        if json.loads(place.read_text("utf-8")) != stated:
            raise RecipeError(folder, "holds a training of another recipe, seed or manifest", "choose another --out")
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(place, json.dumps(stated, indent=2) + "\n")


def _loaders(recipe: LungSegmentationRecipe, images: LungImages, seed: int) -> DataLoaders:
    training, watched = ChangedImages(images, recipe, seed), WatchedImages(images)
    return DataLoaders(
        DataLoader(training, bs=recipe.batch_size, drop_last=True, num_workers=0),
        DataLoader(watched, bs=recipe.batch_size, num_workers=0),
    )


def _learner(
    recipe: LungSegmentationRecipe, network: LungNetwork, loaders: DataLoaders, folder: Path, seed: int
) -> Learner:
    learner = Learner(
        loaders,
        network.to(memory_format=torch.channels_last),
        loss_func=loss,
        opt_func=Adam,
        splitter=layer_groups,
        wd=recipe.weight_decay,
        path=folder,
        cbs=[EpochSeed(seed, 0)],
    )
    silence(learner)
    return learner


def loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of the pixels plus one minus the soft Dice of each image. The one is kind to every pixel, the
    other to small lungs."""
    return functional.binary_cross_entropy_with_logits(logits, masks) + (1 - soft_dice(logits, masks)).mean()


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Dice of the probabilities for each image, [N]; 1 where both are empty."""
    lungs = logits.sigmoid()
    shared = (lungs * masks).sum(dim=(1, 2, 3))
    return (2 * shared + 1) / (lungs.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3)) + 1)


def _fit(recipe: LungSegmentationRecipe, learner: Learner, folder: Path, console: Console) -> None:
    checkpoint = Checkpoint.read(folder / "checkpoint")
    progress = checkpoint.progress if checkpoint else Progress()
    if checkpoint is not None:
        learner.model.load_state_dict(checkpoint.weights)
        if progress.epochs == recipe.epochs:
            return
    learner.unfreeze()
    if checkpoint is not None:
        learner.opt.load_state_dict(checkpoint.optimizer)
    learner.epoch_seed.first_epoch = 0
    with ProgressBars(console) as bars:
        keeping = _Keep(folder, progress, console)
        callbacks = [keeping, TrainingBars(bars, recipe.epochs, progress.epochs)]
        learner.fit_one_cycle(recipe.epochs, lr_max=slice(*recipe.lr), cbs=callbacks, start_epoch=progress.epochs)


class _Keep(Callback):
    """Write each epoch's losses and a checkpoint; stop where the loss isn't a number any more."""

    order = 55

    def __init__(self, folder: Path, progress: Progress, console: Console) -> None:
        self.run_folder, self.progress, self.console = folder, progress, console
        self._begin()

    def _begin(self) -> None:
        self.started = time.monotonic()
        self.losses: list[float] = []
        self.watched: list[float] = []
        self.dices: list[float] = []

    def before_train(self) -> None:
        self._begin()

    def after_batch(self) -> None:
        if not torch.isfinite(self.loss):
            raise LungsightError(
                self.run_folder, "the loss isn't a number any more", "lower lr and choose another --out"
            )
        if self.training:
            self.losses.append(float(self.loss.detach()))
        else:
            self.watched.append(float(self.loss.detach()))
            self.dices += dice((self.pred > 0).float(), (self.y > 0.5).float()).tolist()

    def after_epoch(self) -> None:
        if not self.losses:  # an epoch skipped on resuming
            return
        epoch = self.progress.epochs
        train, valid, watched = (_mean(values) for values in (self.losses, self.watched, self.dices))
        seconds = time.monotonic() - self.started
        row = (epoch, train, valid, watched, seconds)
        _append(self.run_folder / "history.csv", epoch, row)
        self.console.print(
            f"epoch {epoch}: training loss {train:.4f}, validation loss {valid:.4f}, "
            f"Dice {watched:.4f}, {seconds:.0f} s"
        )
        self.progress = replace(self.progress, epochs=epoch + 1, stage_epochs=epoch + 1)
        Checkpoint(self.progress, self.model.state_dict(), {}, self.opt.state_dict()).write(
            self.run_folder / "checkpoint"
        )


def dice(found: Tensor, true: Tensor) -> Tensor:
    """Dice of binary masks [N, 1, side, side], for each image [N]; 1 where both are empty."""
    size = found.sum(dim=(1, 2, 3)) + true.sum(dim=(1, 2, 3))
    return torch.where(size > 0, 2 * (found * true).sum(dim=(1, 2, 3)) / size.clamp(min=1), 1.0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _append(path: Path, epoch: int, row: tuple[float, ...]) -> None:
    lines = path.read_text("utf-8").splitlines()[: epoch + 1] if path.is_file() else [",".join(_HISTORY)]
    with atomic_write(path, "w") as file:
        file.write("\n".join(lines) + "\n")
        csv.writer(file, lineterminator="\n").writerow([row[0], *(f"{value:.5g}" for value in row[1:])])
