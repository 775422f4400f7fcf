"""The gate's network: the first layers of a network trained on photographs, kept as they are, under small heads.

The encoder isn't trained: features from a million photographs of everything recognise an image that is unlike all
radiographs. Linear heads on its features are trained, and the distance from real radiographs is fitted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lungsight.networks.backbones import build_network

BACKBONE = "tf_efficientnet_lite0"
TURNS = (0, 90, 180, 270)
"""Degrees by which an image has to be turned clockwise to be upright."""
SIGNS = ("inverted", "marked", "child")

_STAGES = 5  # of the backbone's seven: 0.7 of its 3.4 million weights, at a sixteenth of the input's resolution
_GRID, _STRIDE = 4, 2  # of a 10 x 10 map: 16 overlapping cells, so that the heads know what is where
_BOUND = 5  # standard deviations of a feature: what is farther out counts as if it were there
_TEXTURE = (1, 2)  # stages whose mean and spread over the image describe its texture


class GateOutput(NamedTuple):
    """What the gate's network finds of N images.

    Attributes:
        kinds: [N, K], logits of a softmax.
        turns: [N, 4], likewise.
        signs: [N, 3], independent logits.
        distance: [N], from real frontal radiographs, as a standard deviation: about 1 for those it was fitted on.
    """

    kinds: Tensor
    turns: Tensor
    signs: Tensor
    distance: Tensor


class GateEncoder(nn.Module):
    """Pixels [N, 1, side, side] in 0…1 to features [N, features]; ``origin`` names its weights.

    Raises RecipeError if the weights aren't available.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: str = "pretrained") -> None:
        super().__init__()
        network, self.origin = build_network(BACKBONE, 1, weights=weights)
        model = network.backbone.model
        self.stem = nn.Sequential(model.conv_stem, model.bn1)
        self.stages = nn.ModuleList(model.blocks[:_STAGES])
        self.register_buffer("mean", network.mean.clone())
        self.register_buffer("std", network.std.clone())
        self.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Layout and texture of the feature maps."""
        maps: Tensor = self.stem((pixels - self.mean) / self.std)
        textures = []
        for number, stage in enumerate(self.stages):
            maps = stage(maps)
            if number in _TEXTURE:
                middle = maps.mean(dim=(2, 3), keepdim=True)
                spread = ((maps - middle) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()
                textures += [middle.flatten(1), spread]
        layout = functional.avg_pool2d(maps, _GRID, _STRIDE).flatten(1)
        return torch.cat([layout, *textures], dim=1)


class GateHeads(nn.Module):
    """Features to outputs.

    The distance is that of probabilistic principal components (Tipping and Bishop 1999): the Mahalanobis distance
    under a covariance of ``components`` directions and one variance for all the others.
    """

    centre: Tensor
    spread: Tensor
    middle: Tensor
    directions: Tensor
    weights: Tensor
    rest: Tensor

    def __init__(self, features: int, kinds: int, components: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("middle", torch.zeros(features))  # of real frontal radiographs, on the scaled features
        self.register_buffer("directions", torch.zeros(features, components))
        self.register_buffer("weights", torch.ones(components))  # one over each direction's variance
        self.register_buffer("rest", torch.ones(()))
        self.dropout = nn.Dropout(dropout)
        self.kinds = nn.Linear(features, kinds)
        self.turns = nn.Linear(features, len(TURNS))
        self.signs = nn.Linear(features, len(SIGNS))

    def forward(self, features: Tensor) -> GateOutput:
        """``features``: [N, features]."""
        scaled = (features - self.centre) / self.spread
        centred = scaled - self.middle
        projected = centred @ self.directions
        within = (projected**2 * self.weights).sum(dim=1)
        beyond = ((centred**2).sum(dim=1) - (projected**2).sum(dim=1)).clamp_min(0) * self.rest
        distance = ((within + beyond) / scaled.shape[1]).sqrt()
        # Features far outside those of training shouldn't make the prediction more certain.
        bounded = self.dropout(scaled.clamp(-_BOUND, _BOUND))
        return GateOutput(self.kinds(bounded), self.turns(bounded), self.signs(bounded), distance)


class ViewHead(nn.Module):
    """Features [N, features] of the gate's encoder to the logit [N] of AP against PA."""

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.linear = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``features``: [N, features]."""
        logit: Tensor = self.linear(((features - self.centre) / self.spread).clamp(-_BOUND, _BOUND))
        return logit.flatten()
