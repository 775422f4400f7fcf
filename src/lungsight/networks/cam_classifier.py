"""A network whose heatmap is part of its forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Output(NamedTuple):
    """``logits`` [N, classes]; ``maps`` [N, classes, rows, columns]. A logit is the mean of its map plus its bias."""

    logits: Tensor
    maps: Tensor


@dataclass(frozen=True)
class InputScaling:
    """Mean and standard deviation, for red, green and blue in 0…1, that the initial weights expect."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class FeatureMaps(nn.Module):
    """A timm model up to its last feature maps [N, features, rows, columns]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels``: [N, 3, side, side], scaled."""
        maps: Tensor = self.model.forward_features(pixels)
        return maps


class FineFeatureMaps(nn.Module):
    """A timm model's last feature maps, enlarged and joined with those of twice their resolution.

    The topmost step of a feature pyramid (Lin et al. 2017): [N, features, rows, columns] with four times as many
    cells. Where a lesion is smaller than a cell of the last maps, its evidence is spread over what is around it.
    """

    def __init__(self, model: Any, features: int = 256) -> None:
        super().__init__()
        self.model = model
        self.finer = _twice_as_fine(model)
        coarse, fine = model.num_features, model.feature_info[self.finer]["num_chs"]
        self.from_coarse = nn.Conv2d(coarse, features, kernel_size=1, bias=False)
        self.from_fine = nn.Conv2d(fine, features, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.activation = nn.ReLU()

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels``: [N, 3, side, side], scaled."""
        coarse, (fine,) = self.model.forward_intermediates(pixels, indices=[self.finer])
        enlarged = functional.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="bilinear")
        joined: Tensor = self.activation(self.norm(enlarged + self.from_fine(fine)))
        return joined


def _twice_as_fine(model: Any) -> int:
    """The index, in timm's counting, of the last stage whose maps are twice as fine as the very last."""
    reductions = [stage["reduction"] for stage in model.feature_info]
    finer = [i for i, reduction in enumerate(reductions) if 2 * reduction == reductions[-1]]
    if not finer:
        raise ValueError("no stage has maps twice as fine as the last")
    return finer[-1]


class CamClassifier(nn.Module):
    """A timm backbone under global average pooling and one linear layer.

    Averaging and a linear layer commute: applying the layer to every cell first gives a map for each class, whose
    mean plus the bias is the logit. That map is the class activation map (Zhou et al. 2016), which for such a head
    is Grad-CAM at the last convolution up to a positive factor (Selvaraju et al. 2017, section 3.1).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: FeatureMaps | FineFeatureMaps,
        features: int,
        classes: int,
        scaling: InputScaling,
        dropout: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(scaling.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(scaling.std).view(1, 3, 1, 1))
        self.backbone = backbone
        self.dropout = nn.Dropout2d(dropout)
        self.weigh = nn.Conv2d(features, classes, kernel_size=1, bias=False)
        self.bias = nn.Parameter(torch.zeros(classes))
        nn.init.normal_(self.weigh.weight, std=features**-0.5)

    def forward(self, pixels: Tensor) -> Output:
        """``pixels`` float32 [N, 1, side, side] in 0…1."""
        maps = self.weigh(self.dropout(self.features(pixels))).float()
        return Output(maps.mean(dim=(2, 3)) + self.bias, maps)

    def features(self, pixels: Tensor) -> Tensor:
        """The backbone's last feature maps [N, features, rows, columns]."""
        features: Tensor = self.backbone((pixels - self.mean) / self.std)
        return features
