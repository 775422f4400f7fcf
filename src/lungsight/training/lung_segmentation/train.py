"""A training of the lung segmentation, from a recipe and a manifest to the network that a package carries."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from lungsight._progress import ProgressBars
from lungsight.components.lung_segmentation import LungSegmentationDescription
from lungsight.datasets.manifest import Manifest
from lungsight.errors import LungsightError
from lungsight.networks.lung_network import build_lung_network, check_image_size, layer_groups
from lungsight.training.callbacks import EpochSeed, TrainingBars
from lungsight.training.checkpoint import Checkpoint, Progress
from lungsight.training.learner import quiet_learner
from lungsight.training.lung_segmentation.export import DESCRIPTION, NETWORK, export_lung_segmentation
from lungsight.training.lung_segmentation.images import AugmentedImages, LungImages, PlainImages, gather
from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe
from lungsight.training.run_log import append_rows, claim, truncate

_HISTORY = ("epoch", "train_loss", "valid_loss", "valid_dice", "seconds")


def train_lung_segmentation(
    recipe: LungSegmentationRecipe,
    manifest: Manifest,
    folder: Path,
    *,
    seed: int = 0,
    cache: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train on the manifest's rows that have a lung mask, or resume a training that was interrupted.

    The same seed gives the same network on the same machine.

    Args:
        recipe: what to do.
        manifest: the images.
        folder: of the training.
        seed: of the split, the order, the augmentation and the decoder's first weights.
        cache: folder of decoded images; the user's cache if not given.
        console: standard error if not given.

    Returns:
        ``folder``, with ``lung_fields.onnx``, ``lung_fields.json``, ``run.json`` and ``history.csv``.

    Raises:
        RecipeError: ``folder`` holds another training.
        ManifestError: there are too few images, or one can't be read.
        LungsightError: the loss is no longer a number.
    """
    check_image_size(recipe.image_size)
    console = console or Console(stderr=True)
    claim(folder / "run.json", _stated(recipe, manifest, seed))
    if (folder / NETWORK).is_file() and (folder / DESCRIPTION).is_file():
        console.print(f"{folder} holds this training already, finished.")
        return folder
    torch.manual_seed(seed)
    network, origin = build_lung_network(weights=recipe.weights)
    images = gather(recipe, manifest, seed=seed, cache=cache, console=console)
    learner = quiet_learner(
        _loaders(recipe, images, seed), network, loss, [EpochSeed(seed, 0)], folder=folder,
        weight_decay=recipe.weight_decay, splitter=layer_groups,
    )  # fmt: skip
    _fit(recipe, learner, folder, console)
    description = LungSegmentationDescription(
        image_size=recipe.image_size,
        threshold=recipe.threshold,
        trained_on=images.trained_on,
        initial_weights=origin,
    )
    export_lung_segmentation(network, description, folder)
    return folder


def _stated(recipe: LungSegmentationRecipe, manifest: Manifest, seed: int) -> dict[str, object]:
    rows = manifest.table[["path", "lung_mask"]]
    named = hashlib.sha256("\0".join(rows[rows["lung_mask"] != ""].to_numpy().ravel()).encode("utf-8", "replace"))
    return {"recipe": recipe.model_dump(mode="json"), "seed": seed, "images": named.hexdigest()}


def _loaders(recipe: LungSegmentationRecipe, images: LungImages, seed: int) -> DataLoaders:
    return DataLoaders(
        DataLoader(AugmentedImages(images, recipe, seed), bs=recipe.batch_size, drop_last=True, num_workers=0),
        DataLoader(PlainImages(images), bs=recipe.batch_size, num_workers=0),
    )


def loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of the pixels plus one minus the soft Dice of each image.

    The first weighs every pixel alike, the second small lungs as much as large ones.
    """
    return functional.binary_cross_entropy_with_logits(logits, masks) + (1 - soft_dice(logits, masks)).mean()


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Dice of the probabilities for each image, [N]; 1 if both are empty."""
    lungs = logits.sigmoid()
    shared = (lungs * masks).sum(dim=(1, 2, 3))
    return (2 * shared + 1) / (lungs.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3)) + 1)


def dice(found: Tensor, true: Tensor) -> Tensor:
    """Dice of binary masks [N, 1, side, side], for each image [N]; 1 if both are empty."""
    size = found.sum(dim=(1, 2, 3)) + true.sum(dim=(1, 2, 3))
    return torch.where(size > 0, 2 * (found * true).sum(dim=(1, 2, 3)) / size.clamp(min=1), 1.0)


def _fit(recipe: LungSegmentationRecipe, learner: Learner, folder: Path, console: Console) -> None:
    checkpoint = Checkpoint.read(folder / "checkpoint")
    progress = checkpoint.progress if checkpoint else Progress()
    truncate(folder / "history.csv", progress.epochs)
    if checkpoint is not None:
        learner.model.load_state_dict(checkpoint.weights)
        if progress.epochs == recipe.epochs:
            return
    learner.unfreeze()
    if checkpoint is not None:
        learner.opt.load_state_dict(checkpoint.optimizer)
    with ProgressBars(console) as bars:
        callbacks = [_Recorder(folder, progress, console), TrainingBars(bars, recipe.epochs, progress.epochs)]
        learner.fit_one_cycle(recipe.epochs, lr_max=slice(*recipe.lr), cbs=callbacks, start_epoch=progress.epochs)


class _Recorder(Callback):
    """Records each epoch's losses and a checkpoint; stops if the loss is no longer a number."""

    order = 55

    def __init__(self, folder: Path, progress: Progress, console: Console) -> None:
        self.run_folder, self.progress, self.console = folder, progress, console
        self.before_train()

    def before_train(self) -> None:
        self.started = time.monotonic()
        self.losses: list[float] = []
        self.valid_losses: list[float] = []
        self.dices: list[float] = []

    def after_batch(self) -> None:
        if not torch.isfinite(self.loss):
            raise LungsightError(
                self.run_folder, "the loss is no longer a number", "lower lr and choose another --out"
            )
        if self.training:
            self.losses.append(float(self.loss.detach()))
        else:
            self.valid_losses.append(float(self.loss.detach()))
            self.dices += dice((self.pred > 0).float(), (self.y > 0.5).float()).tolist()

    def after_epoch(self) -> None:
        if not self.losses:  # an epoch skipped on resuming
            return
        epoch = self.progress.epochs
        train, valid, valid_dice = (_mean(values) for values in (self.losses, self.valid_losses, self.dices))
        seconds = time.monotonic() - self.started
        row = (epoch, *(f"{value:.5g}" for value in (train, valid, valid_dice, seconds)))
        append_rows(self.run_folder / "history.csv", _HISTORY, [row])
        self.console.print(
            f"epoch {epoch}: training loss {train:.4f}, validation loss {valid:.4f}, "
            f"Dice {valid_dice:.4f}, {seconds:.0f} s"
        )
        self.progress = replace(self.progress, epochs=epoch + 1, stage_epochs=epoch + 1)
        checkpoint = Checkpoint(self.progress, self.model.state_dict(), {}, self.opt.state_dict())
        checkpoint.write(self.run_folder / "checkpoint")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
