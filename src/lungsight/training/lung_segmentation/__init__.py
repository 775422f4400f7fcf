"""Training of the lung segmentation: a recipe and a manifest with lung masks to the network of a package."""

from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe
from lungsight.training.lung_segmentation.train import train_lung_segmentation

__all__ = ["LungSegmentationRecipe", "train_lung_segmentation"]
