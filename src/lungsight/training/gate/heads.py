"""The gate's heads, trained on the encoder's features; and the distance from real radiographs, fitted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from sklearn.utils.extmath import randomized_svd
from torch import Tensor
from torch.nn import functional

from lungsight.networks.gate_network import GateHeads, GateOutput
from lungsight.training.gate.examples import KINDS, Examples
from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.learner import quiet_learner

_LEAST_SPREAD = 1e-3
_SIGNS_WEIGH = 0.5  # of the turns and of each sign, beside the kinds


def fit_heads(recipe: GateRecipe, examples: Examples, seed: int) -> GateHeads:
    """Heads trained on ``examples`` without those for validation. The same seed gives the same heads."""
    trained = examples.where(~examples.validation)
    validation = examples.where(examples.validation) if examples.validation.any() else examples
    torch.manual_seed(seed)
    heads = GateHeads(examples.features.shape[1], len(KINDS), recipe.components, recipe.dropout)
    fit_distance(heads, trained)
    loaders = DataLoaders(
        DataLoader(_Batches(trained, recipe.batch_size, seed), bs=None, num_workers=0),
        DataLoader(_Batches(validation, 4 * recipe.batch_size, None), bs=None, num_workers=0),
        device=torch.device("cpu"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        learner = quiet_learner(
            loaders, heads, loss, [_EpochOrder()], folder=Path(scratch), weight_decay=recipe.weight_decay
        )
        learner.fit_one_cycle(recipe.epochs, lr_max=recipe.lr)
    return heads.eval()


@torch.no_grad()
def fit_distance(heads: GateHeads, examples: Examples) -> None:
    """Scale the features by all examples; fit the distance on plain frontal radiographs.

    All sources have the same weight. Tipping and Bishop's closed form.
    """
    heads.centre.copy_(torch.from_numpy(examples.features.mean(axis=0)))
    heads.spread.copy_(torch.from_numpy(examples.features.std(axis=0).clip(_LEAST_SPREAD)))
    chosen = examples.real & examples.plain
    seen = ((torch.from_numpy(examples.features[chosen]) - heads.centre) / heads.spread).double()
    _, source, size = np.unique(examples.source[chosen].astype(str), return_inverse=True, return_counts=True)
    weight = torch.from_numpy((1 / size / len(size))[source])[:, None]
    middle = (seen * weight).sum(dim=0)
    heads.middle.copy_(middle)
    scaled = ((seen - middle) * weight.sqrt()).numpy()
    kept = min(heads.weights.numel(), min(scaled.shape) - 1)
    _, lengths, directions = randomized_svd(scaled, kept, n_iter=4, random_state=0)
    variance = torch.from_numpy(lengths**2).clamp_min(1e-8)
    beyond = float((scaled**2).sum() - (lengths**2).sum()) / max(scaled.shape[1] - kept, 1)
    heads.directions[:, :kept] = torch.from_numpy(directions.T.copy()).float()
    heads.weights[:kept] = (1 / variance).float()
    heads.rest.fill_(1 / max(beyond, 1e-8))


@torch.no_grad()
def predict(heads: GateHeads, examples: Examples) -> GateOutput:
    """The heads' output for every example."""
    output: GateOutput = heads(torch.from_numpy(examples.features))
    return output


def loss(output: GateOutput, targets: Tensor) -> Tensor:
    """Cross-entropy of the kinds, and for frontal images of turns and signs.

    ``targets`` [N, 6]: kind, turn, three signs, weight.
    """
    kind, turn, signs, weight = targets[:, 0].long(), targets[:, 1].long(), targets[:, 2:5], targets[:, 5]
    frontal = (kind == 0).float()
    each = functional.cross_entropy(output.kinds, kind, reduction="none")
    turns = functional.cross_entropy(output.turns, turn, reduction="none")
    signed = functional.binary_cross_entropy_with_logits(output.signs, signs, reduction="none").sum(dim=1)
    return (weight * (each + _SIGNS_WEIGH * frontal * (turns + signed))).mean()


class _Batches:
    """A dataset whose items are whole batches, (features, targets); shuffled each epoch if there is a seed."""

    def __init__(self, examples: Examples, size: int, seed: int | None) -> None:
        self.features = torch.from_numpy(examples.features)
        columns = (examples.kind[:, None], examples.turn[:, None], examples.signs, examples.weight[:, None])
        self.targets = torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32))
        self.size, self.seed = size, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        count = len(self.targets)
        order = (
            np.arange(count) if self.seed is None else np.random.default_rng([self.seed, epoch]).permutation(count)
        )
        self.order = torch.from_numpy(order)

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.features[rows], self.targets[rows]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[index] for index in range(len(self)))


class _EpochOrder(Callback):
    """A new order of the views before each epoch."""

    run_valid = False

    def before_train(self) -> None:
        self.dls.train.dataset.set_epoch(self.epoch)
