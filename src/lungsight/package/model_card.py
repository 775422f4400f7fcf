"""The model card (Mitchell et al. 2019): what a package's description knows of its model.

A test adds what it found: :mod:`lungsight.reporting.model_card` puts the same parts together with its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from lungsight import RESEARCH_ONLY
from lungsight.components.calibration import LargestClasses
from lungsight.components.decision import decision_words
from lungsight.package.description import PackageDescription
from lungsight.package.descriptions_text import (
    calibration_in_words,
    categories_in_words,
    costs_in_words,
    decision_in_words,
    parts_in_words,
    share_in_words,
)
from lungsight.package.markdown import cell, table

TAGS = ("chest-x-ray", "covid-19", "onnx", "research-only")
#: For a hub's list: https://huggingface.co/docs/hub/model-cards.
_FRONT_MATTER: Mapping[str, object] = {
    "library_name": "lungsight",
    "pipeline_tag": "image-classification",
    "tags": TAGS,
}

Lines = Iterable[str]


def model_card(description: PackageDescription) -> str:
    """Markdown for a freshly trained package: what it was made from, and what nobody has shown of it yet."""
    nothing = (
        "## Not shown here",
        "",
        "How the model does on images it never saw: `lungsight evaluate` measures that.",
    )
    parts = (front_matter(description.licence), opening(description.name), *described(description), nothing)
    return as_text(parts)


def described(description: PackageDescription) -> tuple[Lines, ...]:
    """The parts that rest on the description alone, in their order."""
    return (
        _model(description),
        ("## Intended use", "", cell(description.intended_use)),
        _trained_on(description),
        _calibration(description),
    )


def front_matter(licence: str, **more: object) -> Lines:
    """What a hub reads, as YAML; ``more`` adds keys."""
    stated = {"license": licence.lower() or "unknown", **_FRONT_MATTER, **more}
    values = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in stated.items())
    return ("---", *values, "---")  # JSON is YAML


def opening(name: str) -> Lines:
    """The heading, and what the model isn't for."""
    return (f"# {cell(name)}", "", f"**{RESEARCH_ONLY}**")


def as_text(parts: Iterable[Lines]) -> str:
    """The parts as one text, an empty line between them."""
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _model(description: PackageDescription) -> Iterator[str]:
    prepared = description.preprocessing
    yield "## Model"
    yield ""
    if description.files:
        yield f"- Id: {description.model_id}."
    if description.licence:
        yield f"- Licence of the weights: {cell(description.licence)}; those of the images stand below."
    yield f"- Network: {description.backbone}, average pooling, one linear layer; the heatmap is part of its answer."
    yield f"- Initial weights: {cell(description.initial_weights)}."
    yield (
        f"- Input: one grey image, {prepared.image_size} × {prepared.image_size} pixels "
        f"(geometry {prepared.geometry}, intensity {prepared.intensity})."
    )
    yield from (f"- {heading}: {cell(said)}" for heading, said in parts_in_words(description).items())
    yield f"- Classes: {', '.join(description.classes)}; heatmaps show {description.target}."
    yield f"- Made {description.created:%Y-%m-%d} with lungsight {description.lungsight_version}."


def _trained_on(description: PackageDescription) -> Iterator[str]:
    yield "## Trained and tuned on"
    yield ""
    headings = ("source", "images", "patients", "per class", "labels rest on", "licence")
    rows = (
        (s.name, s.images, s.patients, _per_class(s.labels), s.reference_standard, s.licence)
        for s in description.sources
    )
    yield from table(headings, rows)
    yield ""
    leaks = " Images of one patient may stand on both sides: figures measured inside flatter."
    yield f"Split by {description.split_unit}." + (leaks if description.split_unit == "image" else "")


def _per_class(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(labels.items()))


def _calibration(description: PackageDescription) -> Iterator[str]:
    yield "## Calibration and decision"
    yield ""
    yield calibration_in_words(description.calibration)
    yield decision_in_words(description.decision, description.target)
    yield from _by_source(description)
    yield from _largest_classes(description)
    yield from _categories(description)


def _by_source(description: PackageDescription) -> Iterator[str]:
    decision = description.decision
    if not decision.by_source:
        return
    yield ""
    yield "Within each source, on the validation images on which the thresholds were chosen:"
    yield ""
    headings = ("source", "inconclusive", "sensitivity of the others", "specificity of the others")
    rows = (
        (each.source, *map(share_in_words, (each.inconclusive, each.sensitivity, each.specificity)))
        for each in decision.by_source
    )
    yield from table(headings, rows)
    yield ""
    yield costs_in_words(decision)


def _largest_classes(description: PackageDescription) -> Iterator[str]:
    if not description.calibration.largest:
        return
    yield ""
    yield "The most probable class of the validation images, without the calibration → with it (and the truth):"
    yield ""
    rows = (
        (each.source, each.images, *(_moved(each, name) for name in description.classes))
        for each in description.calibration.largest
    )
    yield from table(("source", "images", *description.classes), rows)


def _moved(each: LargestClasses, name: str) -> str:
    return f"{each.before[name]:.2f} → {each.after[name]:.2f} ({each.truth[name]:.2f})"


def _categories(description: PackageDescription) -> Iterator[str]:
    said = categories_in_words(description.categories)
    if not said or description.categories is None:
        return
    yield ""
    yield f"In readers' words ({cell(description.categories.readers)}):"
    yield ""
    yield from (f"- {decision_words(name, description.target)}: {cell(text)}" for name, text in said.items())
