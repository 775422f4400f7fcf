"""The model card of a freshly trained package: what it was made from, and what nobody has shown of it yet."""

from __future__ import annotations

from lungsight import RESEARCH_ONLY
from lungsight.package.description import PackageDescription, TrainingSource


def model_card(package: PackageDescription) -> str:
    """Markdown, after Mitchell et al. 2019; only what the run knows."""
    preprocessing = package.preprocessing
    lines = [
        f"# {package.name}",
        "",
        f"**{RESEARCH_ONLY}**",
        "",
        "## Model",
        "",
        f"- Network: {package.backbone}, average pooling, one linear layer; the heatmap is part of its answer.",
        f"- Initial weights: {package.initial_weights}.",
        f"- Input: one grey image, {preprocessing.image_size} × {preprocessing.image_size} pixels "
        f"(geometry {preprocessing.geometry}, intensity {preprocessing.intensity}).",
        f"- Classes: {', '.join(package.classes)}; heatmaps show {package.target}.",
        f"- Made {package.created:%Y-%m-%d} with lungsight {package.lungsight_version}.",
        "",
        "## Intended use",
        "",
        package.intended_use,
        "",
        "## Trained and tuned on",
        "",
        "| source | images | patients | per class | labels rest on | licence |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(source) for source in package.sources),
        "",
        f"Split by {package.split_unit}."
        + (
            " Images of one patient may stand on both sides: figures measured inside flatter."
            if _leaks(package)
            else ""
        ),
        "",
        "## Calibration and decision",
        "",
        f"Temperature {package.calibration.temperature:.3f}, fitted on {package.calibration.fitted_on} validation "
        "images. "
        f"Below a probability of {package.decision.inconclusive_below:.2f} the verdict is *inconclusive*.",
        "",
        "## Not shown here",
        "",
        "How the model does on another hospital's images: `lungsight evaluate` measures that.",
        "",
    ]
    return "\n".join(lines)


def _row(source: TrainingSource) -> str:
    per_class = ", ".join(f"{name} {n}" for name, n in sorted(source.labels.items()))
    cells = (source.name, source.images, source.patients, per_class, source.reference_standard, source.licence)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _leaks(package: PackageDescription) -> bool:
    return package.split_unit == "image"
