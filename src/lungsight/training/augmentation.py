"""Changes to an image before the classifier is trained on it: position, exposure and quality."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

Strength = Annotated[float, Field(ge=0, le=1)]


class Augmentation(BaseModel):
    """Strength of each change; 0 leaves it out. The defaults are fastai's own for photographs.

    Attributes:
        flip: probability of a left-right flip (the heart is then on the right, as in dextrocardia).
        rotate: largest angle, in degrees.
        zoom: largest enlargement or reduction, as a fraction.
        shift: largest move, as a fraction of the side.
        warp: largest perspective distortion.
        lighting: largest change of brightness and of contrast.
        gamma: largest change of the logarithm of gamma.
        noise: largest standard deviation of Gaussian noise, of a grey range of 0…1.
        blur: largest standard deviation of a Gaussian blur, in hundredths of the side.
        coarsen: largest loss of resolution, as a fraction of the side.
        cut_out: probability that a rectangle is greyed out.
        probability: that each of the changes other than flip and cut-out is made at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: Strength = 0.5
    rotate: float = Field(default=10.0, ge=0, le=180)
    zoom: Strength = 0.1
    shift: Strength = 0.0
    warp: Strength = 0.2
    lighting: Strength = 0.2
    gamma: Strength = 0.0
    noise: Strength = 0.0
    blur: Strength = 0.0
    coarsen: Strength = 0.0
    cut_out: Strength = 0.0
    probability: Strength = 0.75

    def geometry(self) -> v2.Transform:
        """The random movement of one image, a tensor [channels, side, side]. Draws from torch's global generator."""
        return v2.Compose([v2.RandomHorizontalFlip(self.flip), *self._geometric()])

    def photometry(self, image_size: int) -> v2.Transform:
        """The random change of exposure and quality of one image, a tensor [1, image_size, image_size] in 0…1.

        Draws from torch's global generator.
        """
        sometimes = [v2.RandomApply([change], self.probability) for change in self._photographic(image_size)]
        cut = [v2.RandomErasing(self.cut_out, scale=(0.02, 0.15), value=0.5)] if self.cut_out else []
        return v2.Compose([*sometimes, _Clamp(), *cut])

    def _geometric(self) -> list[v2.Transform]:
        changes: list[v2.Transform] = []
        bilinear = v2.InterpolationMode.BILINEAR
        if self.rotate or self.zoom or self.shift:
            shift = (self.shift, self.shift) if self.shift else None
            scale = (1 - self.zoom, 1 + self.zoom) if self.zoom else None
            changes.append(v2.RandomAffine(self.rotate, translate=shift, scale=scale, interpolation=bilinear))
        if self.warp:
            changes.append(v2.RandomPerspective(self.warp, p=1.0, interpolation=bilinear))
        return [v2.RandomApply([change], self.probability) for change in changes]

    def _photographic(self, image_size: int) -> list[nn.Module]:
        changes: list[nn.Module] = []
        if self.lighting:
            changes.append(v2.ColorJitter(brightness=self.lighting, contrast=self.lighting))
        if self.gamma:
            changes.append(_Gamma(self.gamma))
        if self.coarsen:
            changes.append(_Coarsen(self.coarsen))
        if self.blur:
            sigma = self.blur * image_size / 100
            changes.append(v2.GaussianBlur(2 * round(2 * sigma) + 3, (0.05, max(sigma, 0.06))))
        if self.noise:
            changes.append(_Noise(self.noise))
        return changes


class _Gamma(nn.Module):
    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, image: Tensor) -> Tensor:
        return image.clamp(0, 1) ** torch.exp(_uniform(self.strength))


class _Noise(nn.Module):
    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, image: Tensor) -> Tensor:
        return image + torch.randn_like(image) * torch.rand(()) * self.strength


class _Coarsen(nn.Module):
    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, image: Tensor) -> Tensor:
        side = image.shape[-1]
        small = max(int(side * (1 - torch.rand(()).item() * self.strength)), 16)
        coarse = functional.interpolate(image[None], small, mode="bilinear", antialias=True)
        return functional.interpolate(coarse, side, mode="bilinear")[0]


class _Clamp(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.clamp(0, 1)


def _uniform(strength: float) -> Tensor:
    return (2 * torch.rand(()) - 1) * strength
