"""Images that aren't a frontal chest X-ray, to train and test input gates with.

>>> import numpy as np
>>> from lungsight.datasets.ood_images import families
>>> from lungsight.datasets.phantom import Label, draw
>>> hand = families()["hand"].draw(np.random.default_rng(1), lambda rng: draw(1, Label.NO_PNEUMONIA).pixels)
>>> hand.shape
(256, 256)
"""

from lungsight.datasets.ood_images.kinds import Family, Kind, Radiographs
from lungsight.datasets.ood_images.registry import families

__all__ = ["Family", "Kind", "Radiographs", "families"]
