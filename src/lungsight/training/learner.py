"""fastai's learner for an evidence network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import Adam

from lungsight.networks.backbones import first_layers, layer_groups
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.training.callbacks import BFloat16, EpochSeed
from lungsight.training.losses import Loss, accuracy
from lungsight.training.progress import silence
from lungsight.training.recipe import Recipe
from lungsight.training.regularisation import FrozenLayers, SourceAdversary, WeightEMA


def build_learner(
    recipe: Recipe, network: CamClassifier, loaders: DataLoaders, *, folder: Path, rank: int = 0
) -> Learner:
    """Adam, the recipe's loss, three layer groups for discriminative rates; ``folder`` takes fastai's scratch
    files."""
    callbacks = [EpochSeed(recipe.seed, rank), *_regularisation(recipe, network, loaders)]
    if recipe.precision == "bfloat16":
        callbacks.append(BFloat16())
    loss = _loss(recipe)
    learner = Learner(
        loaders,
        network.to(memory_format=torch.channels_last),
        loss_func=loss,
        opt_func=Adam,
        splitter=layer_groups,
        wd=recipe.weight_decay,
        metrics=[loss.of_classes, accuracy],
        path=folder,
        model_dir="scratch",
        cbs=callbacks,
    )
    silence(learner)
    return learner


def _loss(recipe: Recipe) -> Loss:
    healthy = list(recipe.classes).index(recipe.guidance.healthy) if recipe.guidance.weight else -1
    return Loss(recipe.label_smoothing, recipe.logit_penalty, recipe.guidance.weight, healthy)


def _regularisation(recipe: Recipe, network: CamClassifier, loaders: DataLoaders) -> Iterator[Callback]:
    if recipe.fixed_layers:
        first_layers(network, recipe.fixed_layers)  # a wrong number is known before the training
        yield FrozenLayers(recipe.fixed_layers)
    if recipe.weight_averaging.decay:
        yield WeightEMA(recipe.weight_averaging.decay)
    if recipe.source_adversary.weight:
        sources = int(loaders.train_ds.images.sources.max()) + 1
        yield SourceAdversary(recipe.source_adversary.weight, sources, network.weigh.in_channels, recipe.seed)
