"""Callbacks that keep a network from learning by heart, or by the source."""

from __future__ import annotations

from typing import Any

import torch
from fastai.callback.core import Callback
from torch import Tensor, nn
from torch.nn import functional

from lungsight.networks.backbones import first_layers


class FrozenLayers(Callback):
    """The backbone's first ``count`` layer groups neither learn nor adapt their normalisation."""

    order = -15
    run_valid = False

    def __init__(self, count: int) -> None:
        self.count = count

    def before_train(self) -> None:
        network: Any = getattr(self.learn.model, "module", self.learn.model)
        for layer in first_layers(network, self.count):
            layer.eval()
            for parameter in layer.parameters():
                parameter.requires_grad_(False)


class WeightEMA(Callback):
    """Keeps an exponential moving average of weights and normalisation, and shows validation the average. The weights
    that learn are put back for the next epoch; at the end of a stage the average stays."""

    order = 52  # before the weights are watched and checkpointed

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.steps = 0
        self._learning: dict[str, Tensor] = {}

    @torch.no_grad()
    def after_batch(self) -> None:
        if not self.training:
            return
        self.steps += 1
        # the first steps count fully, so that the average isn't of where training began
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, tensor in self._network().state_dict().items():
            if name not in self.average or not tensor.is_floating_point():
                self.average[name] = tensor.detach().clone()
            else:
                self.average[name].lerp_(tensor, 1 - keep)

    def before_validate(self) -> None:
        if self.average:
            self._learning = {name: t.detach().clone() for name, t in self._network().state_dict().items()}
            self._network().load_state_dict(self.average)

    def before_train(self) -> None:
        self.put_back()

    def put_back(self) -> None:
        """The weights that learn take their place again."""
        if self._learning:
            self._network().load_state_dict(self._learning)
            self._learning = {}

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs besides the weights that are in the network, which are the average: those that
        learn, and the number of steps."""
        learning = {f"learning.{name}": tensor for name, tensor in self._learning.items()}
        return learning | {"steps": torch.tensor(self.steps)} if learning else {}

    def take_up(self, state: dict[str, Tensor], average: dict[str, Tensor]) -> None:
        """Go on from :meth:`state` and the weights that were in the network with it."""
        if not state:
            return
        self.steps = int(state["steps"])
        self.average = {name: tensor.detach().clone() for name, tensor in average.items()}
        learning = {name.removeprefix("learning."): t for name, t in state.items() if name != "steps"}
        self._learning = learning

    def _network(self) -> nn.Module:
        model: nn.Module = getattr(self.learn.model, "module", self.learn.model)
        return model


class SourceAdversary(Callback):
    """A linear layer learns the source from the averaged features; the network gets its gradient reversed."""

    order = 12
    run_valid = False

    def __init__(self, weight: float, sources: int, features: int, seed: int) -> None:
        self.weight = weight
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.guess = nn.Linear(features, sources)
        self.optimizer = torch.optim.SGD(self.guess.parameters(), lr=0.1)  # no state of its own to keep

    def before_fit(self) -> None:
        network: Any = getattr(self.learn.model, "module", self.learn.model)
        self.guess.to(next(network.parameters()).device)
        self._hook = network.weigh.register_forward_pre_hook(self._keep)

    def _keep(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]

    def after_loss(self) -> None:
        if not self.training:
            return
        *_, sources = self.learn.yb
        features = _Reversed.apply(self._features.mean(dim=(2, 3)), self.weight)
        self.learn.loss_grad = self.learn.loss_grad + functional.cross_entropy(self.guess(features), sources)

    def after_step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def after_fit(self) -> None:
        self._hook.remove()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs."""
        return {f"guess.{name}": tensor.detach() for name, tensor in self.guess.state_dict().items()}

    def take_up(self, state: dict[str, Tensor], _average: dict[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        if state:
            self.guess.load_state_dict({name.removeprefix("guess."): tensor for name, tensor in state.items()})


class _Reversed(torch.autograd.Function):
    """The same going forward; going back, the gradient times minus ``weight``."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None
