"""What a run knows of the model: the package's description. Of a table of predictions it knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from lungsight._text import as_words
from lungsight.evaluation.evidence import Evidence
from lungsight.package import PackageDescription
from lungsight.package.descriptions_text import calibration_in_words, decision_in_words
from lungsight.reporting.checklists.answer import Answering, ItemAnswer

_FILE = "package.json"
_UNITS: Mapping[str, str] = {
    "patient": "by patient: all images of a patient and of a study were on one side",
    "image": "by image: images of one patient may be on several sides",
    "given": "as the manifest gave it",
}


def _of_description(answer: Callable[[PackageDescription], ItemAnswer | None]) -> Answering:
    """Ask the description, if there is one."""

    @wraps(answer)
    def asked(evidence: Evidence) -> ItemAnswer | None:
        description = evidence.subject.description
        return None if description is None else answer(description)

    return asked


@_of_description
def technology(description: PackageDescription) -> ItemAnswer:
    """The kind of model."""
    text = f"Deep learning: a convolutional network ({description.backbone}) that classifies chest radiographs."
    return ItemAnswer(text, f"{_FILE}, backbone", "the title")


@_of_description
def intended_use(description: PackageDescription) -> ItemAnswer:
    """What the model is meant for."""
    rest = "the clinical background, users, patients and place in the care pathway"
    return ItemAnswer(_stop(description.intended_use), f"{_FILE}, intended_use", rest)


@_of_description
def preprocessing(description: PackageDescription) -> ItemAnswer:
    """Training and scanning call the same code, so this holds for both."""
    p = description.preprocessing
    text = (
        f"Grey values 0…1, bright where the body is dense; {p.image_size} × {p.image_size} pixels, geometry "
        f"{p.geometry}, intensity {p.intensity}; the same for every image, in training and in the test."
    )
    return ItemAnswer(text, f"{_FILE}, preprocessing")


@_of_description
def selection(description: PackageDescription) -> ItemAnswer | None:
    """How training images were chosen."""
    rules = description.recipe.get("select")
    if rules is None:
        return None
    stated = "; ".join(_settings(rule) for rule in _mappings(rules))
    text = f"Training images were chosen by: {stated}." if stated else "Every image whose label has a class was used."
    return ItemAnswer(text, f"{_FILE}, recipe.select")


@_of_description
def partitions(description: PackageDescription) -> ItemAnswer:
    """How the data were split."""
    split = _mapping(description.recipe.get("split"))
    stated = _settings({k: split[k] for k in ("validation", "test", "allow_leaks", "find_duplicates") if k in split})
    seed = description.recipe.get("seed")
    details = "; ".join(filter(None, (stated, f"seed {seed}" if seed is not None else "")))
    text = f"Split {_UNITS[description.split_unit]}" + (f" ({details})." if details else ".")
    return ItemAnswer(text, f"{_FILE}, split_unit and recipe.split")


def disjoint(evidence: Evidence) -> ItemAnswer | None:
    """The level at which partitions are disjoint, and what the test shared with the training."""
    description = evidence.subject.description
    if description is None:
        return None
    text = f"Training and tuning images were split {_UNITS[description.split_unit]}."
    steps = evidence.flow.tables["flow"][["step", "left_out"]].itertuples(index=False, name=None)
    met = "; ".join(f"{step} ({int(n):,})" for step, n in steps if "trained or tuned on" in step)
    text += f" Left out of the test: {met}." if met else ""
    return ItemAnswer(text, f"{_FILE}, split_unit" + ("; tables/flow.csv" if met else ""))


@_of_description
def architecture(description: PackageDescription) -> ItemAnswer:
    """Network, input and output."""
    p = description.preprocessing
    text = (
        f"{description.backbone}, average pooling and one linear layer. Input: one grey image, {p.image_size} × "
        f"{p.image_size}. Output: a logit for each of {', '.join(map(as_words, description.classes))}, and a map for "
        f"each whose mean plus a bias is the logit. The whole graph with its weights is network.onnx, "
        f"sha256 {description.files.get('network.onnx', 'not stated')}; the model's id is {description.model_id}."
    )
    return ItemAnswer(text, f"{_FILE}; network.onnx")


@_of_description
def software(description: PackageDescription) -> ItemAnswer:
    """Libraries and versions of the training."""
    made = f"lungsight {description.lungsight_version}"
    if not description.software:
        return ItemAnswer(f"Trained with {made}.", f"{_FILE}, lungsight_version", "the other libraries and versions")
    stated = ", ".join(f"{name} {version}" for name, version in description.software.items())
    return ItemAnswer(f"Trained with {stated}; packed by {made}.", f"{_FILE}, software")


@_of_description
def initialisation(description: PackageDescription) -> ItemAnswer:
    """Where the first weights come from."""
    return ItemAnswer(_stop(description.initial_weights), f"{_FILE}, initial_weights")


@_of_description
def training(description: PackageDescription) -> ItemAnswer | None:
    """Stages, settings, augmentation and sampling."""
    recipe = description.recipe
    if not recipe.get("stages"):
        return None
    wanted = ("batch_size", "precision", "dropout", "label_smoothing", "weight_decay", "seed")
    stages = "; then ".join(_settings(stage) for stage in _mappings(recipe["stages"]))
    parts = [
        f"One-cycle policy (fastai), stages: {stages}.",
        f"Settings: {_settings({name: recipe[name] for name in wanted if name in recipe}) or 'not stated'}.",
        f"Augmentation: {_settings(_mapping(recipe.get('augmentation'))) or 'not stated'}.",
        f"Sampling: {_settings(_mapping(recipe.get('sampling'))) or 'not stated'}.",
    ]
    return ItemAnswer(" ".join(parts), f"{_FILE}, recipe")


@_of_description
def final_model(description: PackageDescription) -> ItemAnswer | None:
    """Which weights were kept."""
    kept = {"last": "the last epoch", "best": "the epoch of lowest validation loss"}
    keep = kept.get(str(description.recipe.get("keep")))
    return ItemAnswer(f"The weights of {keep} were kept.", f"{_FILE}, recipe.keep") if keep else None


@_of_description
def ensembling(_: PackageDescription) -> ItemAnswer:
    """How many networks predict together."""
    return ItemAnswer("None: the package holds one network.", _FILE)


@_of_description
def predictors(_: PackageDescription) -> ItemAnswer:
    """A radiograph's pixels are all that the network is given."""
    text = "The pixels of one frontal radiograph; no age, no sex, no other variable. No reader sees them beforehand."
    return ItemAnswer(text, "network.onnx, its one input")


@_of_description
def prediction(description: PackageDescription) -> ItemAnswer:
    """From the image to the probabilities."""
    text = "Each image by itself: preprocessing, network.onnx, softmax and calibration."
    return ItemAnswer(f"{text} {calibration_in_words(description.calibration)}", f"{_FILE}, calibration")


@_of_description
def output(description: PackageDescription) -> ItemAnswer:
    """What the model gives, and its thresholds."""
    rule = decision_in_words(description.decision, description.target)
    text = f"A probability for each class, and a decision. {rule}"
    return ItemAnswer(text, f"{_FILE}, decision", "why these thresholds suit the use")


@_of_description
def imbalance(description: PackageDescription) -> ItemAnswer | None:
    """How unequal classes were treated."""
    sampling = _mapping(description.recipe.get("sampling"))
    if "balance" not in sampling:
        return None
    balance = sampling["balance"]
    text = f"Every group of {' and '.join(map(str, balance))} got the same share of an epoch" if balance else "None"
    return ItemAnswer(f"{text}.", f"{_FILE}, recipe.sampling")


@_of_description
def updating(_: PackageDescription) -> ItemAnswer:
    """What was changed after training."""
    return ItemAnswer("None: the test ran the package as it was, calibration and thresholds included.", _FILE)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in settings.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return f"({_settings(value)})"
    if isinstance(value, list | tuple):
        return " and ".join(map(_value, value)) or "none"
    return str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [_mapping(entry) for entry in value] if isinstance(value, list | tuple) else []


def _stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
