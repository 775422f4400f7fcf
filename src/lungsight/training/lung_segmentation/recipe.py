"""Settings of a training of the lung segmentation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lungsight.training.recipe_section import RecipeSection, Share


class LungAugmentation(RecipeSection):
    """How far each training image is changed. Masks move with the image; what only hides lung leaves them alone."""

    flip: Share = 0.5
    """Probability of a left-right flip."""
    rotate: float = Field(default=20, ge=0, le=180)
    """Largest angle in degrees."""
    zoom: float = Field(default=0.45, ge=0, le=1)
    """Largest change of size, as a natural logarithm; larger than the frame is a crop."""
    squash: float = Field(default=0.25, ge=0, le=1)
    """Largest change of the aspect ratio, as a natural logarithm."""
    shift: Share = 0.12
    """Largest shift, as a share of the side."""
    gamma: float = Field(default=0.7, ge=0)
    """Largest exponent, as a natural logarithm."""
    contrast: float = Field(default=0.4, ge=0, lt=1)
    """Largest loss or gain of contrast; a gain saturates."""
    light: float = Field(default=0.3, ge=0, le=1)
    """Largest slope of brightness across the image."""
    noise: float = Field(default=0.08, ge=0, le=1)
    """Largest standard deviation of the noise."""
    blur: float = Field(default=2.0, ge=0)
    """Largest standard deviation of the blur, in pixels of the network's input."""
    coarsen: Share = 0.7
    """Largest share of the resolution that is lost."""
    invert: Share = 0.08
    """Probability that bright and dark are exchanged."""
    borders: Share = 0.3
    """Probability of a frame; the lung under it is hidden, and the mask ends there, too."""
    letters: Share = 0.3
    """Probability of letters and lines."""
    cut_outs: Share = 0.3
    """Probability of blocks; the lung continues under them, and the mask stays."""
    opacity: Share = 0.5
    """Probability of a simulated opacity, from a haze to a white lung; the mask stays."""


class LungSegmentationRecipe(RecipeSection):
    """All settings of a training of the lung segmentation but the images and the seed."""

    image_size: int = Field(default=224, ge=64, le=1024)
    """Side of the network's square input, in pixels."""
    weights: str = "pretrained"
    """Where the encoder starts: `pretrained`, `download`, `random`, or a file of the backbone's tensors."""
    epochs: int = Field(default=11, ge=1)
    """Passes over the training images."""
    lr: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (5e-4, 3e-3)
    """Highest learning rates of the encoder and of the rest."""
    batch_size: int = Field(default=16, ge=2)
    """Images in one step."""
    weight_decay: float = Field(default=0.01, ge=0)
    """As Adam's."""
    validation: float = Field(default=0.08, ge=0, lt=1)
    """Share of each site's patients for validation; 0 trains on all of them."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on a pixel is lung."""
    augmentation: LungAugmentation = LungAugmentation()
