"""Train and evaluate from Python, with the files that the commands write. Scanning: :class:`lungsight.Scanner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lungsight.datasets.manifest import Manifest
from lungsight.errors import PackageError
from lungsight.package import ModelPackage, find_package

if TYPE_CHECKING:
    from lungsight.evaluation.evaluate import Settings
    from lungsight.evaluation.evidence import Evidence

#: One or several manifests, or the paths of their tables.
Data = Manifest | Path | str | Sequence[Manifest | Path | str]


def train(
    recipe: Path | str,
    data: Data,
    out: Path | str,
    *,
    settings: Sequence[str] = (),
    classes: Mapping[str, Sequence[str]] | None = None,
    results: bool = True,
) -> ModelPackage:
    """Train a detector by a recipe. A run that was interrupted is resumed by the same call.

    Args:
        recipe: ``article``, ``baseline``, ``demo``, ``released``, or the path of a recipe in TOML.
        data: the images with their labels; several manifests are joined.
        out: the run's folder.
        settings: keys of the recipe to override, such as ``image_size=512``.
        classes: the labels of each class; None: the recipe's own.
        results: test the network on the run's validation and test images and draw the results.

    Raises:
        RecipeError: the recipe isn't valid, or ``out`` holds a run of another one.
        ManifestError: the images can't be used as they are.
        SplitLeakageError: a patient, study or image is on both sides of the split.
    """
    from lungsight.training.recipe import load_recipe
    from lungsight.training.run import train as run

    out = Path(out)
    chosen = load_recipe(str(recipe), settings, classes)
    run(chosen, Manifest.joined(_manifests(data)), out)
    if results:
        from lungsight.reporting.training_report import write_run_results

        write_run_results(out)
    return ModelPackage.open(out / "package")


def evaluate(
    package: ModelPackage | Path | str, data: Data, out: Path | str, settings: Settings | None = None
) -> Evidence:
    """Test a model on images it never saw, and write the evidence report. An interrupted test is resumed.

    Args:
        package: the model, its folder or zip, or ``released`` for the one that ships with lungsight.
        data: the images with their labels; several manifests are joined.
        out: the report's folder; ``index.html`` is the page.
        settings: how the test is done; None: as :class:`lungsight.Settings` has it by default.

    Raises:
        PackageError: the package can't be used, or ``out`` is inside it.
        ManifestError: no image is eligible or readable.
    """
    from lungsight.evaluation.evaluate import Settings, evaluate_package
    from lungsight.reporting.write import write_report

    out = Path(out)
    model = package if isinstance(package, ModelPackage) else ModelPackage.open(find_package(package))
    if out.resolve().is_relative_to(model.path.resolve()):
        raise PackageError(out, "is inside the package that is tested", "name another folder for the report")
    evidence = evaluate_package(model, _manifests(data), out, settings or Settings())
    write_report(evidence, out)
    return evidence


def _manifests(data: Data) -> list[Manifest]:
    several = [data] if isinstance(data, Manifest | Path | str) else data
    return [one if isinstance(one, Manifest) else Manifest.read(one) for one in several]
