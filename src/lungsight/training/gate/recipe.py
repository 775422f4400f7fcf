"""What a training of the gate does."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from lungsight.components.preprocessing import Preprocessing

#: Films are kept at this size before they are turned, cropped, marked or broken.
FILM_SIDE = 256


class GateRecipe(BaseModel):
    """What a training of the gate does. The defaults are those of the released gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    weights: str = Field(
        default="pretrained", description="of the encoder: `pretrained`, `download`, `random`, or a file"
    )
    image_size: int = Field(default=160, ge=96, le=512)
    """Side of the network's square input, in pixels."""
    films_per_source: int = Field(default=400, ge=1)
    """Frontal radiographs of each source, drawn by patient."""
    views_per_film: int = Field(default=3, ge=1)
    """How often each is shown, the first time as it is."""
    views_per_other: int = Field(default=6, ge=1)
    """How often each lateral view, slice or other part of a source of few is shown."""
    slices_per_source: int = Field(default=400, ge=0)
    """Lateral views, slices and other parts of the body from each source, at most."""
    decoys_per_family: int = Field(default=80, ge=1)
    """Of each family that is drawn or found."""
    broken_per_source: int = Field(default=20, ge=1)
    """Of each family that is broken out of radiographs, from those of each source."""
    phantoms: int = Field(default=60, ge=0)
    """Simulated radiographs among the frontal ones, so that the demo passes."""
    without_sources: tuple[str, ...] = ()
    """Sources left out whole, to test on them."""
    without_families: tuple[str, ...] = ()
    """Families of decoys left out, to see how an unknown kind fares."""
    without_kinds: tuple[str, ...] = ()
    """Kinds left out whole: decoys and the manifest's rows."""
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
        """What the network sees of a radiograph: the whole of it, its greys stretched."""
        return Preprocessing(image_size=self.image_size, geometry="squash", intensity="percentile")
