"""Loss functions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
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
        log_shares: float32 [groups, classes] as :func:`log_shares` returns them, added to the logits; None adds none.
    """

    label_smoothing: float = 0.0
    logit_penalty: float = 0.0
    guidance: float = 0.0
    healthy: int = -1
    log_shares: Tensor | None = field(default=None, repr=False)

    def __call__(self, output: Output, shares: Tensor, attention: Tensor, groups: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            output: of the network.
            shares: [N, classes], which sum to 1.
            attention: targets [N, 2, rows, columns] in 0…1: how much of each cell is diseased, and how uncertain this
                is.
            groups: int64 [N]: rows of ``log_shares``.
        """
        loss = self.of_classes(output, shares, attention, groups)
        if self.logit_penalty:
            loss = loss + self.logit_penalty * output.logits.square().mean()
        if self.guidance:
            loss = loss + self.guidance * misplaced_evidence(output.maps, shares, attention, self.healthy)
        return loss

    def of_classes(self, output: Output, shares: Tensor, _attention: Tensor, groups: Tensor) -> Tensor:
        """The cross-entropy alone: guessing gives a known value of it, so it shows whether a network learns."""
        logits = output.logits
        if self.log_shares is not None:
            logits = logits + self.log_shares.to(logits.device)[groups]
        return functional.cross_entropy(logits, shares, label_smoothing=self.label_smoothing)


def log_shares(
    shares: NDArray[np.float32], groups: NDArray[np.int64], weights: NDArray[np.float64] | None, *,
    count: int, floor: float,
) -> Tensor:  # fmt: skip
    """The log of P(class | group), with a floor (logit adjustment, Menon et al. 2021).

    Args:
        shares: [images, classes], the labels of the training images.
        groups: [images].
        weights: [images], how often each is shown; None: all the same.
        count: of groups; one without training images gets the same share for each class.
        floor: least share of a class, before they are made to sum to 1.

    Returns:
        float32 [count, classes].
    """
    weights = np.ones(len(shares)) if weights is None else weights
    sums = np.stack([np.bincount(groups, weights * column, minlength=count) for column in shares.T], axis=1)
    total = sums.sum(axis=1, keepdims=True)
    found = np.divide(sums, total, out=np.full_like(sums, 1 / shares.shape[1]), where=total > 0)
    found = np.maximum(found, floor)
    return torch.from_numpy(np.log(found / found.sum(axis=1, keepdims=True)).astype(np.float32))


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


def accuracy(output: Output, shares: Tensor, _attention: Tensor, _groups: Tensor) -> Tensor:
    """Share of images whose most probable class is the label's."""
    return (output.logits.argmax(dim=1) == shares.argmax(dim=1)).float().mean()
