"""What training makes small."""

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

    def __call__(self, output: Output, shares: Tensor, places: Tensor, sources: Tensor) -> Tensor:
        """``shares`` [N, classes] sum to 1; ``places`` [N, 2, rows, columns] in 0…1: how much of each place is
        diseased, and how little of this is known; ``sources`` [N] play no part."""
        loss = self.of_classes(output, shares, places, sources)
        if self.logit_penalty:
            loss = loss + self.logit_penalty * output.logits.square().mean()
        if self.guidance:
            loss = loss + self.guidance * misplaced_evidence(output.maps, shares, places, self.healthy)
        return loss

    def of_classes(self, output: Output, shares: Tensor, places: Tensor, sources: Tensor) -> Tensor:
        """The cross-entropy alone: what guessing gives is known of it, and so whether a network learns anything."""
        return functional.cross_entropy(output.logits, shares, label_smoothing=self.label_smoothing)


def misplaced_evidence(maps: Tensor, shares: Tensor, places: Tensor, healthy: int) -> Tensor:
    """Cross-entropy, in nats a place, of the evidence for the disease of the label (the map that a person is shown:
    its class against the mean of the others) against where the disease is known to be. A healthy image shows none of
    any disease; a soft label's diseases count by their shares."""
    diseases = [i for i in range(maps.shape[1]) if i != healthy]
    evidence = against_the_others(maps)[:, diseases]
    weight = shares[:, diseases]
    total = weight.sum(dim=1, keepdim=True)
    weight = torch.where(total > 0.5, weight / total.clamp_min(1e-6), torch.full_like(weight, 1 / len(diseases)))
    diseased, unknown = functional.adaptive_avg_pool2d(places, evidence.shape[-1]).unbind(dim=1)
    loss = functional.binary_cross_entropy_with_logits(
        evidence, diseased[:, None].expand_as(evidence), reduction="none"
    )
    by_place = (loss * weight[:, :, None, None]).sum(dim=1) * (1 - unknown)
    return by_place.mean()


def against_the_others(maps: Tensor) -> Tensor:
    """Each class's map minus the mean of the other classes' maps, [N, classes, rows, columns]."""
    others = maps.shape[1] - 1
    return maps - (maps.sum(dim=1, keepdim=True) - maps) / others


def accuracy(output: Output, shares: Tensor, places: Tensor, sources: Tensor) -> Tensor:
    """Share of images whose most probable class is the label's."""
    return (output.logits.argmax(dim=1) == shares.argmax(dim=1)).float().mean()
