"""The lung-field segmenter: a recipe and a manifest with lung masks to the network that a package carries."""

from lungsight.training.lung_fields.recipe import LungFieldsRecipe
from lungsight.training.lung_fields.training import train_lung_fields

__all__ = ["LungFieldsRecipe", "train_lung_fields"]
