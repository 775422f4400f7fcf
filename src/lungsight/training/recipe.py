"""The recipe: everything about a training run, in one validated TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lungsight.faults import InvalidRecipe
from lungsight.package.preprocessing import Preprocessing
from lungsight.radiograph import View
from lungsight.training.augmentation import Augmentation

Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Selection(_Part):
    """A rule that picks images out of a manifest: all that is stated must hold. What is left out matches anything."""

    source: str | None = None
    """The manifest's `source`."""
    labels: tuple[str, ...] | None = None
    """Any of these labels."""
    views: tuple[View, ...] | None = None
    """Any of these views."""
    files: str | None = Field(default=None, description="a CSV whose column `filename` names the images")
    at_most: int | None = Field(default=None, ge=1, description="draw this many at random, by the recipe's seed")


class Split(_Part):
    """Which images are trained on, which the training watches, and which it never sees.

    ``patient`` keeps all images of a patient, of a study and of a near-duplicate pair on one side, stratified by
    class and source. ``image`` deals single images out, as the article did. ``given`` takes the manifest's own
    column. Rules under ``test`` in the recipe name further test images; of these, patients who stand in training
    or validation are left out.
    """

    unit: Literal["patient", "image", "given"] = "patient"
    """What is dealt out whole."""
    validation: Fraction = 0.15
    """Share of the images."""
    test: Fraction = 0.15
    """Share of the images."""
    allow_leaks: bool = False
    """Train though a patient, a study or an image stands on several sides, and say so in the run."""
    find_duplicates: bool = True
    """Look for copies of images and keep them on one side."""

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must leave something to train on")
        return self


class Sampling(_Part):
    """How often an epoch shows each image. ``balance`` gives every group that these columns make the same share,
    which upsamples the rare ones; ``images_per_epoch`` 0 means as many as there are."""

    balance: tuple[Literal["class", "source"], ...] = ()
    """Columns whose groups get the same share."""
    images_per_epoch: int = Field(default=0, ge=0)
    """How many images make an epoch."""


class LearningRateSearch(_Part):
    """Before each stage fastai's learning-rate finder draws its curve; the stage's own rate stands unless ``use``."""

    before_stages: bool = False
    """Search before every stage (on one device only)."""
    iterations: int = Field(default=100, ge=10)
    """Steps of the search."""
    use: bool = False
    """Train with the rate it suggests instead of the stage's own."""


def _rate_range(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) else value


class Stage(_Part):
    """One run of the one-cycle policy. ``lr`` is the highest rate, of the first layers and of the last
    (discriminative rates between); None is fastai's default."""

    epochs: int = Field(ge=1)
    """Passes over the training images."""
    frozen: bool = False
    """Train the last layer only."""
    lr: Annotated[tuple[Rate, Rate] | None, BeforeValidator(_rate_range)] = None
    """One rate, or the rates of the first and of the last layers."""


class Decision(_Part):
    """What the package's thresholds are chosen for, on the validation images: below the lower one the target is ruled
    out, from the upper one on it is called, between them the verdict is *inconclusive*. Where there are too few
    validation patients to choose any, the most probable class is the verdict, unless its calibrated probability stays
    below ``inconclusive_below``."""

    aim_sensitivity: float = Field(default=0.95, gt=0, lt=1)
    """Of the images of the target, the share that may not be ruled out: a missed case costs most."""
    aim_specificity: float = Field(default=0.95, gt=0, lt=1)
    """Of the other images, the share that may not be called."""
    inconclusive_below: float = Field(default=0.5, ge=0, le=1)
    """Calibrated probability that a verdict needs where there are no thresholds."""


class Recipe(_Part):
    """What a training run does. Every key can be overridden with ``--set key=value``."""

    name: str = Field(pattern=r"^\w[\w .-]*$")
    """Of the recipe, and of the package it makes."""
    description: str = ""
    """One sentence; it goes into the package and its model card."""
    backbone: str = "tf_efficientnet_lite0"
    """Timm's name of a network whose head is average pooling and one linear layer."""
    weights: str = Field(default="pretrained", description="`pretrained`, `random`, or a weights file")
    image_size: int = Field(default=256, ge=32, le=4096)
    geometry: Literal["squash", "pad", "crop"] = "squash"
    intensity: Literal["as_is", "percentile"] = "as_is"
    frontal_only: bool = True
    """Leave out lateral views, CT and all that is no frontal radiograph."""
    classes: dict[str, tuple[str, ...]] = Field(min_length=2, description='labels of each class; "*" is all others')
    target: str = "covid19"
    """The class set against the others; its evidence is what the heatmap shows."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the split, the order of images, the augmentation and the new layers."""
    batch_size: int = Field(default=8, ge=2)
    """Images in one step, on each GPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` halves the memory of the forward pass where the processor or GPU has it."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the last features left out in training."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of each label that is spread over all classes."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of fastai's optimizer."""
    keep: Literal["last", "best"] = Field(default="last", description="`best`: the epoch of lowest validation loss")
    checkpoint_seconds: float = Field(default=30.0, ge=0)
    """Shortest time between two checkpoints; 0 writes one after every epoch."""
    select: tuple[Selection, ...] = ()
    """Rules for the images to split; none: every image whose label has a class."""
    test: tuple[Selection, ...] = ()
    """Rules for further test images, of patients who are in neither training nor validation."""
    split: Split = Split()
    sampling: Sampling = Sampling()
    augmentation: Augmentation = Augmentation()
    learning_rate_search: LearningRateSearch = LearningRateSearch()
    decision: Decision = Decision()
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.target not in self.classes:
            raise ValueError(f"target '{self.target}' is not among the classes {', '.join(self.classes)}")
        named = [label for labels in self.classes.values() for label in labels]
        twice = sorted({label for label in named if named.count(label) > 1})
        if twice:
            raise ValueError(f"label '{twice[0]}' stands in two classes")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(image_size=self.image_size, geometry=self.geometry, intensity=self.intensity)

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)


def built_in_recipes() -> dict[str, str]:
    """Name and description of the recipes that ship with lungsight."""
    folder = resources.files("lungsight.training") / "recipes"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    contents = [tomllib.loads(f.read_text("utf-8")) for f in found]
    return {content["name"]: content["description"] for content in contents}


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """A built-in recipe by name, or a TOML file; ``overrides`` are ``key=value``, ``stages.0.epochs=2``.

    Raises InvalidRecipe, naming the key."""
    content = _content(name_or_path)
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise InvalidRecipe(name_or_path, _first_fault(error), _KEYS_CURE) from error


_KEYS_CURE = "docs/reference/recipes.md lists the keys"


def _content(name_or_path: str) -> dict[str, Any]:
    path = Path(name_or_path)
    built_in = resources.files("lungsight.training") / "recipes" / f"{name_or_path}.toml"
    if path.suffix != ".toml" and not built_in.is_file():
        known = ", ".join(built_in_recipes())
        raise InvalidRecipe(name_or_path, "there is no such recipe", f"give {known}, or the path of a .toml file")
    try:
        text = path.read_text("utf-8") if path.suffix == ".toml" else built_in.read_text("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise InvalidRecipe(path, f"can't be read ({error.strerror})", "give the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRecipe(path, f"is not TOML ({error})", "correct that line") from error


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InvalidRecipe(f"--set {override}", "is not key=value", "write for example --set image_size=512")
    *parents, last = key.strip().split(".")
    place: Any = content
    for part in parents:
        place = _step(place, part, override)
    if isinstance(place, list):
        _step(place, last, override)
        place[int(last)] = _value(text)
    elif isinstance(place, dict):
        place[last] = _value(text)
    else:
        raise InvalidRecipe(f"--set {override}", f"'{parents[-1]}' holds a value, not keys", _KEYS_CURE)


def _step(place: Any, part: str, override: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise InvalidRecipe(f"--set {override}", f"there is no entry '{part}'", "entries of a list count from 0")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def as_toml(recipe: Recipe) -> str:
    """The whole recipe, every default written out, as TOML that :func:`load_recipe` reads back the same."""
    import tomli_w

    return tomli_w.dumps(_without_none(recipe.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(v) for key, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_none(v) for v in value]
    return value
