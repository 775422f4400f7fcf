"""Train, evaluate and adapt from Python, with the files of the commands. Scanning: :class:`lungsight.Scanner`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungsight.datasets.manifest import Manifest
from lungsight.errors import PackageError
from lungsight.package import ModelPackage, find_package

if TYPE_CHECKING:
    from lungsight.adaptation.adapt import Settings as AdaptationSettings
    from lungsight.evaluation.evaluate import Settings
    from lungsight.evaluation.evidence import Evidence

#: One or several manifests, or the paths of their tables.
Data = Manifest | Path | str | Sequence[Manifest | Path | str]
#: Classes by name, or the manifest's labels of each.
Classes = Sequence[str] | Mapping[str, Sequence[str]]
#: Takes images, float32 [height, width] in 0…1; gives an array with a row for each.
Function = Callable[[list[NDArray[np.float32]]], Any]


def train(
    recipe: Path | str,
    data: Data,
    out: Path | str,
    *,
    settings: Sequence[str] = (),
    classes: Mapping[str, Sequence[str]] | None = None,
    goes_on_from: Path | str = "",
    results: bool = True,
) -> ModelPackage:
    """Train a detector by a recipe. A run that was interrupted is resumed by the same call.

    Args:
        recipe: ``article``, ``baseline``, ``demo``, ``released``, or the path of a recipe in TOML.
        data: the images with their labels; several manifests are joined.
        out: the run's folder.
        settings: keys of the recipe to override, such as ``image_size=512``.
        classes: the labels of each class; None: the recipe's own.
        goes_on_from: a model package, by name or path, whose training goes on.
        results: test the network on the run's validation and test images and draw the results.

    Raises:
        RecipeError: the recipe isn't valid, or ``out`` holds a run of another one.
        ManifestError: the images can't be used as they are.
        SplitLeakageError: a patient, study or image is on both sides of the split.
    """
    from lungsight.training.recipe import load_recipe
    from lungsight.training.run import train as run

    out = Path(out)
    chosen = load_recipe(str(recipe), settings, classes, str(goes_on_from))
    run(chosen, Manifest.joined(_manifests(data)), out)
    if results:
        from lungsight.reporting.training_report import write_run_results

        write_run_results(out)
    return ModelPackage.open(out / "package")


def evaluate(
    model: ModelPackage | Path | str | Function,
    data: Data,
    out: Path | str,
    settings: Settings | None = None,
    *,
    classes: Classes | None = None,
    target: str | None = None,
    name: str = "",
    version: str = "",
    explain: Function | None = None,
    features: Function | None = None,
    image_size: int = 1024,
    output: str = "",
    weights: Path | None = None,
    trained_sources: Sequence[str] | None = None,
    trained_on: Data = (),
) -> Evidence:
    """Test a model on images it never saw, and write the evidence report. An interrupted test is resumed.

    Args:
        model: a package, its folder or zip, or ``released`` for the one that ships with lungsight; ``model.toml`` of
            an ONNX network; ``xrv:`` and the name of a torchxrayvision model; ``file.py:function``; or a function
            that takes a list of images, float32 [height, width] in 0…1 and bright where the body is dense, and gives
            the probability of each class, float [n, k], or [n], that of the target, for two classes.
        data: the images with their labels; several manifests are joined.
        out: the report's folder; ``index.html`` is the page.
        settings: how the test is done; None: as :class:`lungsight.Settings` has it by default.
        classes: the classes in the order of a function's numbers, or with the manifest's labels of each.
        target: the class set against the rest; None: the model's own, or the first.
        name: what a function is called in the report; empty: its own name.
        version: of a function and of all that it rests on. Without it nothing that it gives is kept.
        explain: gives a heatmap of each class, float [n, k, h, w], or [n, h, w] of the target.
        features: gives what the last layer weighs, float [n, c].
        image_size: the longer side, in pixels, to which larger images are reduced before a function is given them.
        output: the one output of a torchxrayvision model that is read.
        weights: a file with the weights of a torchxrayvision model; None: its own cache.
        trained_sources: the sources that the model was trained on; a package knows its own.
        trained_on: the images that it was trained on, which are left out; a package knows its own.

    Raises:
        PackageError: the package can't be used, or ``out`` is inside it.
        ManifestError: no image is eligible or readable.
        LungsightError: another model can't be used, or a function fails.
    """
    from lungsight.evaluation.evaluate import Settings, evaluate_model, evaluate_package
    from lungsight.evaluation.other_models import Options, function_model, is_other_model, open_other_model
    from lungsight.reporting.write import write_report

    out, settings = Path(out), settings or Settings()
    labels = _labels(classes)
    settings = replace(settings, target=target or settings.target, classes=labels or settings.classes)
    if callable(model) or (isinstance(model, str | Path) and is_other_model(str(model))):
        if callable(model):
            called = name or str(getattr(model, "__name__", "function"))
            stated = settings.classes or {}
            opened = function_model(
                model, called, stated, settings.target or next(iter(stated), ""), version=version, explain=explain,
                features=features, image_size=image_size, lungs_by=settings.lungs_by,
            )  # fmt: skip
        else:
            options = Options(output, weights, version, settings.target, settings.classes, settings.lungs_by)
            opened = open_other_model(str(model), options)
        evidence = evaluate_model(
            opened,
            _manifests(data),
            out,
            settings,
            trained_sources=trained_sources,
            trained_on=_manifests(trained_on),
        )
    else:
        package = model if isinstance(model, ModelPackage) else ModelPackage.open(find_package(model))
        if out.resolve().is_relative_to(package.path.resolve()):
            raise PackageError(out, "is inside the package that is tested", "name another folder for the report")
        evidence = evaluate_package(package, _manifests(data), out, settings)
    write_report(evidence, out)
    return evidence


def adapt(
    model: ModelPackage | Path | str,
    data: Data,
    out: Path | str,
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    name: str = "",
    even_if_worse: bool = False,
    settings: AdaptationSettings | None = None,
) -> ModelPackage:
    """Adapt a package to a hospital by its own labelled images. A call that was cut off goes on where it stopped.

    Args:
        model: a package, its folder or zip, or ``released`` for the one that ships with lungsight.
        data: the hospital's images with their labels; several manifests are joined.
        out: the folder of the adapted package.
        classes: the labels of those classes that hold others than the package says.
        name: of the adapted package; empty: the package's own, with ``-adapted``.
        even_if_worse: write it although it is worse on patients that it didn't see.
        settings: how it is done, in full; ``classes`` and ``name`` come before what it says.

    Returns:
        The adapted package; its ``evidence.json`` has the figures before and after.

    Raises:
        ManifestError: there are fewer than 20 images, or 10 patients, with or without the target.
        PackageError: the package can't be used, or ``out`` holds something else.
        LungsightError: the adapted model is worse, and ``even_if_worse`` isn't given.
    """
    from lungsight.adaptation.adapt import Settings, adapt_package
    from lungsight.adaptation.package import refuse_out, write_adapted

    out, settings = Path(out), settings or Settings()
    package = model if isinstance(model, ModelPackage) else ModelPackage.open(find_package(model))
    refuse_out(package, out)
    settings = replace(settings, name=name or settings.name, classes=classes or settings.classes)
    return write_adapted(adapt_package(package, _manifests(data), settings), out, even_if_worse=even_if_worse)


def _labels(classes: Classes | None) -> dict[str, Sequence[str]] | None:
    """The labels of each class; of a class that is only named, its own name."""
    if classes is None or isinstance(classes, Mapping):
        return None if classes is None else dict(classes)
    return {name: [name] for name in classes}


def _manifests(data: Data) -> list[Manifest]:
    several = [data] if isinstance(data, Manifest | Path | str) else data
    return [one if isinstance(one, Manifest) else Manifest.read(one) for one in several]
