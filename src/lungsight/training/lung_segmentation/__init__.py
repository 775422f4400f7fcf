"""The lung-field segmenter: a recipe and a manifest with lung masks to the network that a package carries."""

from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe
from lungsight.training.lung_segmentation.train import train_lung_fields

__all__ = ["LungSegmentationRecipe", "train_lung_fields"]
