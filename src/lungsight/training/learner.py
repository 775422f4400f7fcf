"""fastai's learner, as every training here uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastai.callback.schedule  # noqa: F401 - puts fit_one_cycle on the learner
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import Adam
from torch import Tensor, nn

from lungsight.networks.backbones import first_layers, layer_groups
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.training.callbacks import BFloat16, EpochSeed
from lungsight.training.losses import Loss, accuracy, log_shares
from lungsight.training.regularisation import FrozenLayers, WeightEMA

if TYPE_CHECKING:  # the recipe holds those of the gate and the lung segmentation, whose trainings need this module
    from lungsight.training.recipe import Recipe


def quiet_learner(
    loaders: DataLoaders, network: nn.Module, loss: Any, callbacks: Sequence[Callback], *, folder: Path,
    weight_decay: float, **settings: Any,
) -> Learner:  # fmt: skip
    """A learner with Adam, without fastai's own progress bar and table.

    Args:
        loaders: of training and validation.
        network: what learns.
        loss: of the network's output and the loaders' targets.
        callbacks: of every fit.
        folder: for fastai's scratch files.
        weight_decay: Adam's.
        settings: further ones of fastai's learner.
    """
    learner = Learner(
        loaders, network.to(memory_format=torch.channels_last), loss_func=loss, opt_func=Adam, wd=weight_decay,
        path=folder, model_dir="scratch", cbs=list(callbacks), **settings,
    )  # fmt: skip
    for bar in [callback for callback in learner.cbs if type(callback).__name__ == "ProgressCallback"]:
        learner.remove_cb(bar)
    learner.logger = lambda _: None
    return learner


def build_learner(
    recipe: Recipe, network: CamClassifier, loaders: DataLoaders, *, folder: Path, rank: int = 0
) -> Learner:
    """The learner of a classifier: the recipe's loss, three layer groups for discriminative learning rates."""
    healthy = list(recipe.classes).index(recipe.guidance.healthy) if recipe.guidance.weight else -1
    loss = Loss(
        recipe.label_smoothing, recipe.logit_penalty, recipe.guidance.weight, healthy, _log_shares(recipe, loaders)
    )
    callbacks = [EpochSeed(recipe.seed, rank), *_regularisation(recipe, network)]
    if recipe.precision == "bfloat16":
        callbacks.append(BFloat16())
    return quiet_learner(
        loaders, network, loss, callbacks, folder=folder, weight_decay=recipe.weight_decay,
        splitter=layer_groups, metrics=[loss.of_classes, accuracy],
    )  # fmt: skip


def _log_shares(recipe: Recipe, loaders: DataLoaders) -> Tensor | None:
    if not recipe.conditional_loss.on:
        return None
    shown, validation = loaders.train_ds, loaders.valid_ds.images
    count = 1 + int(max(shown.images.groups.max(), validation.groups.max()))
    return log_shares(
        shown.images.shares, shown.images.groups, shown.weights, count=count, floor=recipe.conditional_loss.floor
    )


def _regularisation(recipe: Recipe, network: CamClassifier) -> Iterator[Callback]:
    if recipe.fixed_layers:
        first_layers(network, recipe.fixed_layers)  # refuses a wrong number before the training
        yield FrozenLayers(recipe.fixed_layers)
    if recipe.weight_averaging.decay:
        yield WeightEMA(network, recipe.weight_averaging.decay)
