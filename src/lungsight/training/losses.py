"""Loss functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lungsight.networks.cam_classifier import Output


@dataclass(frozen=True)
class Loss:
    """Cross-entropy of the classes, in nats, and what a recipe adds to it.

    Attributes:
        label_smoothing: share of each label that is spread over all classes.
        logit_penalty: weight of the mean squared logit.
        guidance: weight of :func:`misplaced_evidence`.
        healthy: index of the class whose images show disease nowhere.
    """

    label_smoothing: float = 0.0
    logit_penalty: float = 0.0
    guidance: float = 0.0
    healthy: int = -1

    def __call__(self, output: Output, shares: Tensor, attention: Tensor, sources: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            output: of the network.
            shares: [N, classes], which sum to 1.
            attention: targets [N, 2, rows, columns] in 0…1: how much of each cell is diseased, and how uncertain this
                is.
            sources: [N], without effect.
        """
        loss = self.of_classes(output, shares, attention, sources)
        if self.logit_penalty:
            loss = loss + self.logit_penalty * output.logits.square().mean()
        if self.guidance:
            loss = loss + self.guidance * misplaced_evidence(output.maps, shares, attention, self.healthy)
        return loss

    def of_classes(self, output: Output, shares: Tensor, _attention: Tensor, _sources: Tensor) -> Tensor:
        """The cross-entropy alone: guessing gives a known value of it, so it shows whether a network learns."""
        return functional.cross_entropy(output.logits, shares, label_smoothing=self.label_smoothing)


def misplaced_evidence(maps: Tensor, shares: Tensor, attention: Tensor, healthy: int) -> Tensor:
    """Cross-entropy, in nats per cell, of the evidence for the label's disease against its attention targets.

    The evidence is the map that users see: that of the class minus the mean of the others. A healthy image shows no
    evidence of any disease; the diseases of a soft label count by their shares.
    """
    diseases = [i for i in range(maps.shape[1]) if i != healthy]
    evidence = against_the_others(maps)[:, diseases]
    weight = shares[:, diseases]
    total = weight.sum(dim=1, keepdim=True)
    weight = torch.where(total > 0.5, weight / total.clamp_min(1e-6), torch.full_like(weight, 1 / len(diseases)))
    diseased, unknown = functional.adaptive_avg_pool2d(attention, evidence.shape[-1]).unbind(dim=1)
    loss = functional.binary_cross_entropy_with_logits(
        evidence, diseased[:, None].expand_as(evidence), reduction="none"
    )
    by_cell = (loss * weight[:, :, None, None]).sum(dim=1) * (1 - unknown)
    return by_cell.mean()


def against_the_others(maps: Tensor) -> Tensor:
    """Each class's map minus the mean of the other classes' maps, [N, classes, rows, columns]."""
    others = maps.shape[1] - 1
    return maps - (maps.sum(dim=1, keepdim=True) - maps) / others


def accuracy(output: Output, shares: Tensor, _attention: Tensor, _sources: Tensor) -> Tensor:
    """Share of images whose most probable class is the label's."""
    return (output.logits.argmax(dim=1) == shares.argmax(dim=1)).float().mean()
