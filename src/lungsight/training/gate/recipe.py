"""Settings of a training of the input gate."""

from __future__ import annotations

from pydantic import Field

from lungsight.components.preprocessing import Preprocessing
from lungsight.training.recipe_section import RecipeSection

#: Images are kept at this size before they are turned, cropped, marked or broken.
KEPT_SIDE = 256


class GateRecipe(RecipeSection):
    """Settings of a training of the input gate; the defaults are those of the released one."""

    weights: str = Field(
        default="pretrained", description="of the encoder: `pretrained`, `download`, `random`, or a file"
    )
    image_size: int = Field(default=160, ge=96, le=512)
    """Side of the network's square input, in pixels."""
    films_per_source: int = Field(default=400, ge=1)
    """Frontal radiographs of each source, at most."""
    views_per_film: int = Field(default=3, ge=1)
    """How often each is shown, the first time as it is."""
    views_per_other: int = Field(default=6, ge=1)
    """How often each lateral view, slice or other part is shown, if the source has few."""
    slices_per_source: int = Field(default=400, ge=0)
    """Lateral views, slices and other parts of the body from each source, at most."""
    decoys_per_family: int = Field(default=80, ge=1)
    """Out-of-distribution images of each family that is drawn or found."""
    broken_per_source: int = Field(default=20, ge=1)
    """Out-of-distribution images of each family that is made from radiographs, for each source."""
    phantoms: int = Field(default=60, ge=0)
    """Simulated radiographs among the frontal ones, so that the demo passes."""
    without_sources: tuple[str, ...] = ()
    """Sources left out whole, to test on them."""
    without_families: tuple[str, ...] = ()
    """Families of out-of-distribution images left out, to test an unknown kind."""
    without_kinds: tuple[str, ...] = ()
    """Kinds left out whole: out-of-distribution images and the manifest's rows."""
    components: int = Field(default=96, ge=1)
    """Directions in which real radiographs vary."""
    epochs: int = Field(default=15, ge=1)
    """Passes over all views."""
    batch_size: int = Field(default=256, ge=2)
    """Views in one step."""
    lr: float = Field(default=5e-3, gt=0)
    """Highest rate of the one-cycle policy."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Of fastai's optimizer."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the features left out in training."""
    refused_of_real: float = Field(default=0.005, gt=0, lt=0.5)
    """Share of the real radiographs of a source not trained on that each threshold may refuse."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network sees of a radiograph: all of it, its greys stretched."""
        return Preprocessing(image_size=self.image_size, geometry="squash", intensity="percentile")
