"""The recipe: all settings of a training run, in one validated TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from lungsight.components.preprocessing import Preprocessing
from lungsight.errors import RecipeError
from lungsight.package import ModelPackage, PackageDescription, find_package
from lungsight.radiograph import View
from lungsight.training.augmentation import Augmentation
from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.lung_segmentation.recipe import LungSegmentationRecipe
from lungsight.training.recipe_section import RecipeSection, Share

Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]


class Selection(RecipeSection):
    """A rule that selects images of a manifest: all that is stated must hold. What is left out matches anything."""

    source: str | None = None
    """The manifest's `source`."""
    labels: tuple[str, ...] | None = None
    """Any of these labels."""
    views: tuple[View, ...] | None = None
    """Any of these views."""
    files: str | None = Field(default=None, description="a CSV whose column `filename` names the images")
    at_most: int | None = Field(default=None, ge=1, description="draw this many at random, by the recipe's seed")


class Split(RecipeSection):
    """Which images are for training, for validation and for test.

    ``patient`` keeps all images of a patient, of a study and of a near-duplicate pair on one side, stratified by
    class and source. ``image`` splits single images, as the article did. ``given`` takes the manifest's own column.
    Rules under ``test`` in the recipe name further test images; of these, patients of training or validation are left
    out.
    """

    unit: Literal["patient", "image", "given"] = "patient"
    """What stays on one side."""
    validation: Fraction = 0.15
    """Share of the images."""
    test: Fraction = 0.15
    """Share of the images."""
    allow_leaks: bool = False
    """Train although a patient, a study or an image is on several sides, and report it in the run."""
    find_duplicates: bool = True
    """Look for copies of images and keep them on one side."""
    as_in: str = ""
    """A package, by name or path. Patients whom it was trained or validated on stay on that side, and the other
    patients of its sources are for test, so that both models are tested on patients whom neither saw."""

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must leave something to train on")
        return self


class Sampling(RecipeSection):
    """How often an epoch shows each image.

    ``balance`` gives every group that these columns make the same share, which upsamples the rare ones. Images of
    unknown view keep the share that their number gives them; the rest is shared out over the views.
    """

    balance: tuple[Literal["class", "source", "view"], ...] = ()
    """Columns whose groups get the same share, one within the other."""
    source_size: Share = 0.0
    """Sources within a group get shares by their number of images to this power: 0 the same for all, 0.5 by the
    root, 1 by the number."""
    most_repeats: float = Field(default=0.0, ge=0)
    """How often an epoch shows one image at most, on average; 0: no limit. What is left over goes to other images of
    the same class."""
    images_per_epoch: int = Field(default=0, ge=0)
    """How many images make an epoch; 0: all of them once."""


class ConditionalLoss(RecipeSection):
    """The log of P(class | source) is added to the logits in the loss alone: knowing the source gains nothing.

    A network that knows the source and nothing else has its least loss without any evidence: all logits the same.
    Logit adjustment (Menon et al. 2021), for each source. The shares are those of the training images as sampled.
    """

    on: tuple[Literal["source", "view"], ...] = ()
    """What is given: the source, or the source and the view; nothing leaves it out."""
    floor: float = Field(default=0.05, gt=0, le=0.2)
    """Least share of a class. A source that holds one class alone teaches about as much as this."""


class LearningRateSearch(RecipeSection):
    """Before each stage, fastai's learning-rate finder draws its curve; the stage's own rate stays unless ``use``."""

    before_stages: bool = False
    """Search before every stage (on one device only)."""
    iterations: int = Field(default=100, ge=10)
    """Steps of the search."""
    use: bool = False
    """Train with the rate it suggests instead of the stage's own."""


class Guidance(RecipeSection):
    """Attention targets: where the evidence for a class is meant to be, as far as that is known.

    In images of ``healthy``, nowhere; where disease is marked (boxes, lesion masks), there and only there; otherwise,
    where the lungs are known, not outside them. The loss is the cross-entropy of the evidence, as a probability in
    each cell, against this.
    """

    weight: float = Field(default=0.0, ge=0)
    """Of this loss, added to that of the classes; 0 leaves it out."""
    healthy: str = "no_pneumonia"
    """The class whose images show disease nowhere."""


class WeightAveraging(RecipeSection):
    """Validation and the package use the exponential moving average of the weights (Polyak and Juditsky 1992).

    It varies less from epoch to epoch than the weights themselves.
    """

    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the average that stays at each step; 0 leaves it out."""


def _rate_range(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) else value


class Stage(RecipeSection):
    """One run of the one-cycle policy.

    ``lr`` is the highest rate, of the first layers and of the last (discriminative rates between); None is fastai's
    default.
    """

    epochs: int = Field(ge=1)
    """Passes over the training images."""
    frozen: bool = False
    """Train the last layer only."""
    lr: Annotated[tuple[Rate, Rate] | None, BeforeValidator(_rate_range)] = None
    """One rate, or the rates of the first and of the last layers."""


class Decision(RecipeSection):
    """What the package's thresholds are chosen for, on the validation images.

    Below the lower one there is no sign of the target, from the upper one on it is predicted, between them the
    decision is *inconclusive*. The fewer may be inconclusive, the more errors there are: `package describe` and the
    run's page say how many. If there are too few validation patients to choose thresholds, the decision is the most
    probable class, unless its calibrated probability is below ``inconclusive_below``.
    """

    aim_sensitivity: float = Field(default=0.95, gt=0, lt=1)
    """Share of the target's images that must not be ruled out: a missed case costs most."""
    aim_specificity: float = Field(default=0.95, gt=0, lt=1)
    """Share of the other images for which the target must not be predicted."""
    most_inconclusive: float = Field(default=0.15, ge=0, le=1)
    """Share of the images of each source that may be inconclusive. It comes before the aims: where they would leave
    more, both kinds of error are allowed more often, by the same factor. 1: no limit."""
    inconclusive_below: float = Field(default=0.5, ge=0, le=1)
    """Calibrated probability that a decision needs if there are no thresholds."""


class OODAim(RecipeSection):
    """The out-of-distribution detector: a network is certain of images unlike its training images, too.

    With a percentile, there is a warning about such images: those whose features are further from the training
    images' than this percentile of the validation images'. The decision stays what it is.
    """

    percentile: float | None = Field(default=None, gt=50, le=100)
    """None: the package has no such detector."""


class Recipe(RecipeSection):
    """All settings of a training run. Every key can be overridden with ``--set key=value``."""

    name: str = Field(pattern=r"^\w[\w .-]*$")
    """Of the recipe, and of the package it makes."""
    description: str = ""
    """One sentence; it goes into the package and its model card."""
    licence: str = ""
    """Of the weights, as an SPDX identifier (https://spdx.org/licenses); it may depend on the images' licences."""
    backbone: str = "tf_efficientnet_lite0"
    """Timm's name of a network whose head is average pooling and one linear layer."""
    weights: str = Field(
        default="pretrained",
        description="`pretrained` (what is on this computer), `download`, `random`, a weights file, or a package, by "
        "name or path, whose training goes on",
    )
    fine_maps: bool = False
    """Join the backbone's last maps with those of twice their resolution, for heatmaps with four times as many
    cells."""
    image_size: int = Field(default=256, ge=32, le=4096)
    geometry: Literal["squash", "pad", "crop", "lungs"] = "squash"
    margin: float = Field(default=0.1, ge=0, le=1, description="around the lungs, with geometry lungs")
    intensity: Literal["as_is", "percentile"] = "as_is"
    frontal_only: bool = True
    """Leave out lateral views, CT and all else that isn't a frontal radiograph."""
    classes: dict[str, tuple[str, ...]] = Field(min_length=2, description='labels of each class; "*" is all others')
    soft_labels: dict[str, dict[str, Share]] = Field(
        default={}, description="shares of the classes in further labels"
    )
    """Labels between the classes, for instance a radiologist's *indeterminate*: they are trained on with these
    shares, and left out of validation and test, since there is no reference standard for them."""
    target: str = "covid19"
    """The class that is set against all others; the heatmap shows its evidence."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the split, the order of images, the augmentation and the new layers."""
    batch_size: int = Field(default=8, ge=2)
    """Images in one step, on each GPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` halves the memory of the forward pass where the processor or GPU has it."""
    fixed_layers: int = Field(default=0, ge=0)
    """This many of the backbone's first layer groups stay as they are, their normalisation too: edges and textures
    needn't be learned again, and each step is quicker."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the last features left out in training."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of each label that is spread over all classes."""
    logit_penalty: float = Field(default=0.0, ge=0)
    """Weight of the mean squared logit in the loss, against the overconfidence that a shortcut gives."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of fastai's optimizer."""
    keep: Literal["last", "best"] = Field(default="last", description="`best`: the epoch of lowest validation loss")
    checkpoint_seconds: float = Field(default=30.0, ge=0)
    """Shortest time between two checkpoints; 0 writes one after every epoch."""
    keep_stages: bool = False
    """Keep the weights at the end of each stage (`stages/`), to choose how long to train on other images."""
    select: tuple[Selection, ...] = ()
    """Rules for the images to split; none: every image whose label has a class."""
    test: tuple[Selection, ...] = ()
    """Rules for further test images, of patients who are in neither training nor validation."""
    split: Split = Split()
    sampling: Sampling = Sampling()
    guidance: Guidance = Guidance()
    weight_averaging: WeightAveraging = WeightAveraging()
    conditional_loss: ConditionalLoss = ConditionalLoss()
    augmentation: Augmentation = Augmentation()
    learning_rate_search: LearningRateSearch = LearningRateSearch()
    decision: Decision = Decision()
    familiarity: OODAim = OODAim()
    lung_fields: LungSegmentationRecipe | None = None
    """How the lung segmentation of the package is trained, on the images with lung masks; None: there is none."""
    gate: GateRecipe | None = None
    """How the input gate of the package is trained; None: there is none."""
    parts_from: str = ""
    """A run, or a package, by name or path, whose lung segmentation and gate are taken, instead of training them."""
    half_precision: bool = False
    """Store the network's weights as float16, in half the space; it runs in float32."""
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _without_retired_keys(cls, content: Any) -> Any:
        """Older packages and runs have keys that were taken out; where they did nothing, they are left out."""
        if not isinstance(content, dict):
            return content
        content = {key: value for key, value in content.items() if not _did_nothing(key, value)}
        sampling = content.get("sampling")
        if isinstance(sampling, dict) and sampling.get("mix_sources") == 0:
            content["sampling"] = {key: value for key, value in sampling.items() if key != "mix_sources"}
        return content

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.target not in self.classes:
            raise ValueError(f"target '{self.target}' is not among the classes {', '.join(self.classes)}")
        named = [label for labels in self.classes.values() for label in labels]
        twice = sorted({label for label in named if named.count(label) > 1})
        if twice:
            raise ValueError(f"label '{twice[0]}' is in two classes")
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
                raise ValueError(f"soft label '{label}' is in a class, too")
            if unknown := sorted(set(shares) - set(self.classes)):
                raise ValueError(f"soft label '{label}' names '{unknown[0]}', which isn't a class")
            if abs(sum(shares.values()) - 1) > 1e-6:
                raise ValueError(f"the shares of soft label '{label}' don't sum to 1")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network sees of an image."""
        stated = self.model_dump(include={"image_size", "geometry", "margin", "intensity"})
        return Preprocessing(**stated)

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)


def _did_nothing(key: str, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return (key == "source_adversary" and not value.get("weight")) or (
        key == "teachers" and not value.get("packages")
    )


def built_in_recipes() -> dict[str, str]:
    """Name and description of the recipes that ship with lungsight."""
    folder = resources.files("lungsight.training") / "recipes"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    contents = [tomllib.loads(f.read_text("utf-8")) for f in found]
    return {content["name"]: content["description"] for content in contents}


def load_recipe(
    name_or_path: str,
    overrides: Sequence[str] = (),
    classes: Mapping[str, Sequence[str]] | None = None,
    goes_on_from: str = "",
) -> Recipe:
    """A built-in recipe by name, or a TOML file.

    Args:
        name_or_path: of the recipe.
        overrides: ``key=value``, for instance ``stages.0.epochs=2``.
        classes: with their labels, instead of the recipe's. Its target stays if it is among them, or else the first
            is; soft labels and guidance that no longer fit are left out.
        goes_on_from: a package, by name or path, whose training goes on: its weights, its network, what it sees of an
            image, its classes, lung segmentation and gate, and the side of the split that its patients were on.

    Raises:
        RecipeError: with the key that is wrong.
        PackageError: the package can't be opened.
    """
    content = _content(name_or_path)
    if goes_on_from:
        before = ModelPackage.open(find_package(goes_on_from)).description
        content |= _network_of(before) | {"weights": goes_on_from}
        content["parts_from"] = goes_on_from if before.lung_fields or before.gate else ""
        if content.get("split", {}).get("unit") != "given":
            content["split"] = content.get("split", {}) | {"as_in": goes_on_from}
        classes = classes or _classes_of(before)
    if classes:
        _reclassify(content, classes)
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(name_or_path, _first_error(error), _KEYS_HINT) from error


def _network_of(package: PackageDescription) -> dict[str, Any]:
    """The keys of a recipe that decide what the weights fit, and what they were trained on seeing."""
    seen = package.preprocessing.model_dump(include={"image_size", "geometry", "margin", "intensity"})
    return {"backbone": package.backbone, "fine_maps": bool(package.recipe.get("fine_maps", False)), **seen}


def _classes_of(package: PackageDescription) -> Mapping[str, Sequence[str]]:
    stated: Any = package.recipe.get("classes")
    return stated or {name: (name,) for name in package.classes}


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


_KEYS_HINT = "docs/reference/recipes.md lists the keys"


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
    inner: Any = content
    for name in parents:
        inner = _step(inner, name, override)
    if isinstance(inner, list):
        _step(inner, last, override)
        inner[int(last)] = _value(text)
    elif isinstance(inner, dict):
        inner[last] = _value(text)
    else:
        raise RecipeError(f"--set {override}", f"'{parents[-1]}' holds a value, not keys", _KEYS_HINT)


def _step(inner: Any, name: str, override: str) -> Any:
    if isinstance(inner, dict):
        return inner.setdefault(name, {})
    if isinstance(inner, list) and name.isdecimal() and int(name) < len(inner):
        return inner[int(name)]
    raise RecipeError(f"--set {override}", f"there is no entry '{name}'", "entries of a list count from 0")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _keys_beside(first["loc"]), 1, 0.6)
        return f"{key}: there is no such key" + (f"; did you mean {near[0]}?" if near else "")
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _keys_beside(path: tuple[int | str, ...]) -> list[str]:
    """The valid keys in the table of the key at ``path``."""
    section: type[BaseModel] | None = Recipe
    for name in path[:-1]:
        if section is not None and name in section.model_fields:
            section = _section_of(section.model_fields[str(name)].annotation)
    return list(section.model_fields) if section is not None else []


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section of a recipe in an annotation such as ``tuple[Stage, ...]`` or ``GateRecipe | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _section_of(one))), None)


def as_toml(recipe: Recipe) -> str:
    """The whole recipe, every default written out, as TOML that :func:`load_recipe` reads back the same."""
    import tomli_w

    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
