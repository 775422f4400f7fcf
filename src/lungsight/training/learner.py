"""fastai's learner for an evidence network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import Adam
from torch import Tensor
from torch.nn import functional

from lungsight.networks.backbones import layer_groups
from lungsight.networks.evidence_network import EvidenceNetwork, Output
from lungsight.training.callbacks import BFloat16, EpochSeed
from lungsight.training.recipe import Recipe


def build_learner(
    recipe: Recipe, network: EvidenceNetwork, loaders: DataLoaders, *, folder: Path, rank: int = 0
) -> Learner:
    """Adam, cross-entropy, three layer groups for discriminative rates; ``folder`` takes fastai's scratch files."""
    callbacks = [EpochSeed(recipe.seed, rank)]
    if recipe.precision == "bfloat16":
        callbacks.append(BFloat16())
    learner = Learner(
        loaders,
        network.to(memory_format=torch.channels_last),
        loss_func=cross_entropy(recipe.label_smoothing),
        opt_func=Adam,
        splitter=layer_groups,
        wd=recipe.weight_decay,
        metrics=[accuracy],
        path=folder,
        model_dir="scratch",
        cbs=callbacks,
    )
    for bar in [cb for cb in learner.cbs if type(cb).__name__ == "ProgressCallback"]:
        learner.remove_cb(bar)
    learner.logger = lambda _: None
    return learner


def cross_entropy(label_smoothing: float) -> Callable[[Output, Tensor], Tensor]:
    """Mean cross-entropy in nats of the logits against the classes."""

    def loss(output: Output, targets: Tensor) -> Tensor:
        return functional.cross_entropy(output.logits, targets, label_smoothing=label_smoothing)

    return loss


def accuracy(output: Output, targets: Tensor) -> Tensor:
    return (output.logits.argmax(dim=1) == targets).float().mean()
