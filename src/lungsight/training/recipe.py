"""The recipe: everything about a training run, in one validated TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lungsight.components.preprocessing import Preprocessing
from lungsight.errors import RecipeError
from lungsight.radiograph import View
from lungsight.training.augmentation import Augmentation
from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe

Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


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
    mix_sources: float = Field(default=0.0, ge=0, le=1)
    """Probability that an image is blended with one of the same class from another source, so that what is common to
    the class outweighs what is common to the source (mixup, Zhang et al. 2018, kept within the class)."""
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


class Guidance(_Part):
    """Where the evidence for a class may lie, taught where it is known: in images of ``healthy`` nowhere; where
    disease is marked (boxes, lesion masks) there and only there; otherwise, where the lung fields are known, not
    outside them. Cross-entropy of the evidence, as a probability at each place, against this."""

    weight: float = Field(default=0.0, ge=0)
    """Of this loss beside the loss of the classes; 0 leaves it out."""
    healthy: str = "no_pneumonia"
    """The class whose images show disease nowhere."""


class WeightAveraging(_Part):
    """The network that is watched and kept has the exponential moving average of the weights over the steps (Polyak
    and Juditsky 1992): it swings less from epoch to epoch than the weights themselves."""

    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the average that stays at each step; 0 leaves it out."""


class SourceAdversary(_Part):
    """A second layer guesses the source from the network's features, and the network is trained to leave it nothing
    to guess from (gradient reversal, Ganin et al. 2016)."""

    weight: float = Field(default=0.0, ge=0)
    """Of the reversed gradient; 0 leaves it out."""


class Teachers(_Part):
    """Packages whose averaged probabilities of the training images take part in the labels (distillation, Hinton et
    al. 2015). They must not have seen the images that this run watches or tests on."""

    packages: tuple[str, ...] = ()
    """Paths of model packages with the same classes."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Share of the teachers' probabilities in each label."""


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


class OODAim(_Part):
    """A network is sure of itself far from anything it was trained on, too. With a percentile, the package says of
    such images that they are *inconclusive*: those whose features lie further from the training's than this
    percentile of the validation images'."""

    percentile: float | None = Field(default=None, gt=50, le=100)
    """None: every image gets an answer."""


class Recipe(_Part):
    """What a training run does. Every key can be overridden with ``--set key=value``."""

    name: str = Field(pattern=r"^\w[\w .-]*$")
    """Of the recipe, and of the package it makes."""
    description: str = ""
    """One sentence; it goes into the package and its model card."""
    licence: str = ""
    """Of the weights, as an SPDX identifier (https://spdx.org/licenses); those of the images may bind it."""
    backbone: str = "tf_efficientnet_lite0"
    """Timm's name of a network whose head is average pooling and one linear layer."""
    weights: str = Field(
        default="pretrained",
        description="`pretrained` (what is on this computer), `download`, `random`, or a weights file",
    )
    fine_maps: bool = False
    """Join the backbone's last maps with those of twice their resolution, for heatmaps with four times as many
    places."""
    image_size: int = Field(default=256, ge=32, le=4096)
    geometry: Literal["squash", "pad", "crop", "lungs"] = "squash"
    margin: float = Field(default=0.1, ge=0, le=1, description="around the lungs, with geometry lungs")
    intensity: Literal["as_is", "percentile"] = "as_is"
    frontal_only: bool = True
    """Leave out lateral views, CT and all that is no frontal radiograph."""
    classes: dict[str, tuple[str, ...]] = Field(min_length=2, description='labels of each class; "*" is all others')
    soft_labels: dict[str, dict[str, Share]] = Field(
        default={}, description="shares of the classes in further labels"
    )
    """Labels between the classes, for instance a radiologist's *indeterminate*: they are trained on with these
    shares, and stand neither in validation nor in test, since there is no truth to hold an answer against."""
    target: str = "covid19"
    """The class set against the others; its evidence is what the heatmap shows."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the split, the order of images, the augmentation and the new layers."""
    batch_size: int = Field(default=8, ge=2)
    """Images in one step, on each GPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` halves the memory of the forward pass where the processor or GPU has it."""
    fixed_layers: int = Field(default=0, ge=0)
    """This many of the backbone's first layer groups stay as they came, their normalisation too: edges and textures
    needn't be learned again, and each step costs less."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the last features left out in training."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of each label that is spread over all classes."""
    logit_penalty: float = Field(default=0.0, ge=0)
    """Weight of the mean squared logit in the loss: nothing is then as sure as a shortcut makes it."""
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
    guidance: Guidance = Guidance()
    weight_averaging: WeightAveraging = WeightAveraging()
    source_adversary: SourceAdversary = SourceAdversary()
    teachers: Teachers = Teachers()
    augmentation: Augmentation = Augmentation()
    learning_rate_search: LearningRateSearch = LearningRateSearch()
    decision: Decision = Decision()
    familiarity: OODAim = OODAim()
    lung_fields: LungSegmentationRecipe | None = None
    """How the segmenter of the package is trained, on the images with lung masks; None: the package has none."""
    gate: GateRecipe | None = None
    """How the gate of the package is trained; None: the package has none."""
    parts_from: str = ""
    """A run whose lung fields and gate are taken, instead of training them."""
    half_precision: bool = False
    """Store the network's weights as float16, in half the space; it runs in float32."""
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.target not in self.classes:
            raise ValueError(f"target '{self.target}' is not among the classes {', '.join(self.classes)}")
        named = [label for labels in self.classes.values() for label in labels]
        twice = sorted({label for label in named if named.count(label) > 1})
        if twice:
            raise ValueError(f"label '{twice[0]}' stands in two classes")
        if self.guidance.weight and self.guidance.healthy not in self.classes:
            raise ValueError(f"guidance.healthy '{self.guidance.healthy}' is not among the classes")
        if self.guidance.weight and self.geometry in ("pad", "crop"):
            raise ValueError("guidance needs geometry squash or lungs")
        return self

    @model_validator(mode="after")
    def _soft_labels_are_shares(self) -> Self:
        named = {label for labels in self.classes.values() for label in labels}
        for label, shares in self.soft_labels.items():
            if label in named:
                raise ValueError(f"soft label '{label}' stands in a class too")
            if unknown := sorted(set(shares) - set(self.classes)):
                raise ValueError(f"soft label '{label}' names '{unknown[0]}', which is no class")
            if abs(sum(shares.values()) - 1) > 1e-6:
                raise ValueError(f"the shares of soft label '{label}' don't sum to 1")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        stated = self.model_dump(include={"image_size", "geometry", "margin", "intensity"})
        return Preprocessing(**stated)

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)


def built_in_recipes() -> dict[str, str]:
    """Name and description of the recipes that ship with lungsight."""
    folder = resources.files("lungsight.training") / "recipes"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    contents = [tomllib.loads(f.read_text("utf-8")) for f in found]
    return {content["name"]: content["description"] for content in contents}


def load_recipe(
    name_or_path: str, overrides: Sequence[str] = (), classes: Mapping[str, Sequence[str]] | None = None
) -> Recipe:
    """A built-in recipe by name, or a TOML file; ``overrides`` are ``key=value``, ``stages.0.epochs=2``. ``classes``,
    with their labels, take the place of the recipe's: its target stays, where it is among them, or else the first is;
    what it says of its own classes (soft labels, guidance to a healthy one) is left out where it no longer fits.

    Raises InvalidRecipe, naming the key."""
    content = _content(name_or_path)
    if classes:
        _reclassify(content, classes)
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(name_or_path, _first_fault(error), _KEYS_CURE) from error


def _reclassify(content: dict[str, Any], classes: Mapping[str, Sequence[str]]) -> None:
    content["classes"] = {name: list(labels) for name, labels in classes.items()}
    named = [name for name, labels in classes.items() if "*" not in labels]
    if content.get("target", Recipe.model_fields["target"].default) not in classes:
        content["target"] = (named or list(classes))[0]
    soft = content.get("soft_labels", {})
    content["soft_labels"] = {label: shares for label, shares in soft.items() if set(shares) <= set(classes)}
    guidance = content.get("guidance", {})
    if guidance.get("healthy", Guidance.model_fields["healthy"].default) not in classes:
        content.pop("guidance", None)


_KEYS_CURE = "docs/reference/recipes.md lists the keys"


def _content(name_or_path: str) -> dict[str, Any]:
    path = Path(name_or_path)
    built_in = resources.files("lungsight.training") / "recipes" / f"{name_or_path}.toml"
    if path.suffix != ".toml" and not built_in.is_file():
        known = ", ".join(built_in_recipes())
        raise RecipeError(name_or_path, "there is no such recipe", f"give {known}, or the path of a .toml file")
    try:
        text = path.read_text("utf-8") if path.suffix == ".toml" else built_in.read_text("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise RecipeError(path, f"can't be read ({error.strerror})", "give the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(path, f"is not TOML ({error})", "correct that line") from error


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override}", "is not key=value", "write for example --set image_size=512")
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
        raise RecipeError(f"--set {override}", f"'{parents[-1]}' holds a value, not keys", _KEYS_CURE)


def _step(place: Any, part: str, override: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise RecipeError(f"--set {override}", f"there is no entry '{part}'", "entries of a list count from 0")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _keys_beside(first["loc"]), 1, 0.6)
        return f"{key}: there is no such key" + (f"; did you mean {near[0]}?" if near else "")
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _keys_beside(place: tuple[int | str, ...]) -> list[str]:
    """The keys that a recipe has where the key at ``place`` stands."""
    part: type[BaseModel] | None = Recipe
    for name in place[:-1]:
        if part is not None and name in part.model_fields:
            part = _part_of(part.model_fields[str(name)].annotation)
    return list(part.model_fields) if part is not None else []


def _part_of(annotation: Any) -> type[BaseModel] | None:
    """The part of a recipe in an annotation such as ``tuple[Stage, ...]`` or ``GateRecipe | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _part_of(one))), None)


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
