"""Regularisation callbacks: frozen layers, averaged weights."""

from __future__ import annotations

from typing import Any

import torch
from fastai.callback.core import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lungsight.networks.backbones import first_layers


def bare_network(callback: Callback) -> Any:
    """The network that a callback's learner trains, without torch's wrapper for several processes."""
    return getattr(callback.learn.model, "module", callback.learn.model)


class FrozenLayers(Callback):
    """The backbone's first ``count`` layer groups don't learn, and their normalisation stays as it is."""

    order = -15
    run_valid = False

    def __init__(self, count: int) -> None:
        self.count = count

    def before_train(self) -> None:
        """Freeze them again: fastai unfreezes at the start of a stage, and its loop sets training mode."""
        for layer in first_layers(bare_network(self), self.count):
            layer.eval()
            for parameter in layer.parameters():
                parameter.requires_grad_(False)


class WeightEMA(Callback):
    """Exponential moving average of weights and normalisation (Polyak and Juditsky 1992), used in validation.

    The weights that learn are put back for the next epoch; at the end of a stage the average stays in the network.
    """

    order = 52  # before the weights are monitored and checkpointed

    def __init__(self, network: nn.Module, decay: float) -> None:
        # copied here, since a copy during the fit would copy its hooks, and the learner with them
        self.average = AveragedModel(network, multi_avg_fn=_WarmedUp(decay), use_buffers=True)
        self._learning: dict[str, Tensor] = {}

    def before_fit(self) -> None:
        """Average where the network is."""
        self.average.to(next(bare_network(self).parameters()).device)

    def after_batch(self) -> None:
        """Update the average after each step."""
        if self.training:
            self.average.update_parameters(bare_network(self))

    def before_validate(self) -> None:
        """Exchange the weights for their average."""
        if self.average.n_averaged:
            network = bare_network(self)
            self._learning = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            network.load_state_dict(self.average.module.state_dict())

    def before_train(self) -> None:
        """Put the weights that learn back."""
        if self._learning:
            bare_network(self).load_state_dict(self._learning)
            self._learning = {}

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs besides the network's weights, which are the average."""
        learning = {f"learning.{name}": tensor for name, tensor in self._learning.items()}
        return learning | {"steps": self.average.n_averaged} if learning else {}

    def load_state(self, state: dict[str, Tensor], average: dict[str, Tensor]) -> None:
        """Continue from :meth:`state` and the weights that were in the network with it."""
        if state:
            self.average.module.load_state_dict(average)
            self.average.n_averaged.copy_(state["steps"])
            self._learning = {name.removeprefix("learning."): t for name, t in state.items() if name != "steps"}


class _WarmedUp:
    """torch's moving average with a decay that rises over the first steps, so that these don't weigh too much."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, average: Any, current: Any, steps: Tensor | int) -> None:
        decay = min(self.decay, (2 + int(steps)) / (11 + int(steps)))
        if average[0].is_floating_point():
            get_ema_multi_avg_fn(decay)(average, current, steps)  # type: ignore[no-untyped-call]
        else:  # the counters of batch normalisation
            torch._foreach_copy_(average, current)
