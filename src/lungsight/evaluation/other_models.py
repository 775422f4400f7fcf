"""``lungsight evaluate MODEL`` for models that aren't packages: what the name means, and the model, opened."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungsight.components.decision import Decision
from lungsight.components.onnx_description import REST, OnnxDescription, OtherModelError, described, read_description
from lungsight.components.onnx_predictor import OnnxPredictor
from lungsight.components.predictor import Predictor
from lungsight.components.user_function import SIDE, Function, UserFunction
from lungsight.datasets.spellings import spelling
from lungsight.errors import ManifestError
from lungsight.inference.other_model import OtherModel
from lungsight.package import ModelPackage, find_package
from lungsight.package.bundled import package_with_view_classifier

#: Before the name of a torchxrayvision model.
XRV = "xrv:"
Labels = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class OpenedModel:
    """A model with all that its test needs to know of it.

    Attributes:
        name: for the folder of its report.
        labels: the manifest's labels of each class.
        kept: whether its answers may be kept: only if its id differs wherever a prediction may differ.
        trained_sources: the sources it was trained on; None if that isn't stated.
        notices: what was assumed of it: sentences.
    """

    model: OtherModel
    name: str
    labels: Labels
    kept: bool = True
    trained_sources: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """What a user may say of a model.

    Attributes:
        output: the one output that is read of a torchxrayvision model.
        weights: a file with its weights.
        version: of a function and all that it rests on.
        target: the class set against the rest.
        classes: the manifest's labels of each class.
        lungs_by: the package whose lung segmentation the audits use; None: the one that ships.
        threads: cores to use; 0: all.
    """

    output: str = ""
    weights: Path | None = None
    version: str = ""
    target: str | None = None
    classes: Labels | None = None
    lungs_by: ModelPackage | None = None
    threads: int = 0


def is_other_model(name: str) -> bool:
    """Whether ``name`` means a model that isn't a package."""
    return name.startswith(XRV) or Path(name).suffix in (".onnx", ".toml") or _function_of(name) is not None


def open_other_model(name: str, options: Options = Options()) -> OpenedModel:
    """The model that ``name`` means.

    Args:
        name: ``model.toml`` or the ``model.onnx`` beside it, ``xrv:densenet121-res224-all``, ``file.py:function``.
        options: what else is said of it.

    Raises:
        LungsightError: there is no such model, or it can't be used.
    """
    if name.startswith(XRV):
        return _xray_vision(name.removeprefix(XRV), options)
    if (function := _function_of(name)) is not None:
        return _of_file(*function, options)
    return _onnx(Path(name), options)


def function_model(
    predict: Function,
    name: str,
    classes: Labels,
    target: str,
    *,
    version: str = "",
    explain: Function | None = None,
    features: Function | None = None,
    image_size: int = SIDE,
    lungs_by: ModelPackage | None = None,
) -> OpenedModel:
    """A function as a model: the arguments of :class:`.UserFunction`; ``classes`` are the labels of each class.

    Raises:
        ManifestError: ``target`` isn't a class, or there is one class only.
    """
    if target not in classes or len(classes) < 2:
        problem = f"{target} isn't one of its classes" if target not in classes else "has one class only"
        raise ManifestError(name, problem, "name two or more classes with --class, and one of them with --target")
    predictor = UserFunction(
        predict, name, tuple(classes), target, version=version, explain=explain, features=features,
        image_size=image_size,
    )  # fmt: skip
    notice = f"{name} is a function without a version: what it gives isn't kept, so an interrupted test starts anew."
    model = _with_lungs(predictor, tuple(classes), target, lungs_by)
    return OpenedModel(model, name, classes, kept=bool(version), notices=() if version else (notice,))


def _with_lungs(
    predictor: Predictor,
    classes: Sequence[str],
    target: str,
    lungs_by: ModelPackage | None,
    decision: Decision | None = None,
) -> OtherModel:
    """With the lungs that audits hide, of the released package unless another is named, and its view classifier."""
    package = lungs_by or ModelPackage.open(find_package())
    return OtherModel(
        predictor, classes, target, decision=decision, lungs=package.lung_fields(1), lungs_from=package.id,
        views_from=package_with_view_classifier(),
    )  # fmt: skip


def _onnx(path: Path, options: Options) -> OpenedModel:
    toml = path.with_suffix(".toml")
    if path.suffix == ".onnx" and not toml.is_file():
        hint = f"write {toml.name}, which says how it is run, with `lungsight package wrap {path}`"
        raise OtherModelError(path, "doesn't say how it is run" if path.is_file() else "there is no such file", hint)
    description, network = read_description(toml)
    description = _as_the_user_says(toml, description, options)
    predictor = OnnxPredictor(network, description, path, options.threads)
    model = _with_lungs(predictor, description.classes, description.target, options.lungs_by, description.decision)
    labels, sources = description.labels_of_classes, description.trained_sources
    return OpenedModel(model, description.name, labels, trained_sources=sources)


def _as_the_user_says(toml: Path, description: OnnxDescription, options: Options) -> OnnxDescription:
    """With the target and the labels of the command. Raises OtherModelError if these aren't the model's."""
    if not (options.classes or options.target):
        return description
    kept = {} if options.classes and description.output.one_by_one else description.labels
    changed = {"labels": {**kept, **(options.classes or {})}, "target": options.target or description.target}
    if options.classes and description.output.one_by_one:
        changed |= {"target": options.target or next(iter(options.classes))}
        changed |= {"output": description.output.model_dump() | {"reads": description.read}}
    return described(toml, description.model_dump(by_alias=True) | changed)


def _xray_vision(name: str, options: Options) -> OpenedModel:
    from lungsight.networks.xray_vision import XrayVisionModel

    predictor = XrayVisionModel(name, options.output, options.weights)
    classes = _opposites(options.output, options)
    model = _with_lungs(predictor, tuple(classes), next(iter(classes)), options.lungs_by)
    notice = (
        f"The output {options.output} of {XRV}{name} is read; probabilities are scaled as torchxrayvision does it."
    )
    return OpenedModel(model, f"xrv-{name}", classes, notices=(notice,))


def _opposites(output: str, options: Options) -> Labels:
    """The labels of the class that one output is of, first, and those of its opposite.

    The class is the user's first one or the target, if the user names any, since a collection seldom has a label of
    the output's own name.
    """
    if not options.classes:
        name = options.target or _as_class(output)
        return {name: [name], REST: ["*"]}
    if len(options.classes) != 2:
        hint = "give two: the labels that the output is meant to find, and the rest, for example 'other=*'"
        raise ManifestError("--class", f"names {len(options.classes)} classes for one output", hint)
    first = options.target or next(iter(options.classes))
    if first not in options.classes:
        raise ManifestError(
            f"--target {first}", "is none of the classes", f"give one of {', '.join(options.classes)}"
        )
    return {name: options.classes[name] for name in sorted(options.classes, key=lambda name: name != first)}


def _as_class(output: str) -> str:
    """A pathology's name as classes are written: ``Lung Opacity`` becomes ``lung_opacity``."""
    return "_".join(spelling(word) for word in output.replace("_", " ").split())


def _function_of(name: str) -> tuple[Path, str] | None:
    file, colon, function = name.rpartition(":")
    return (Path(file), function) if colon and file.endswith(".py") and function.isidentifier() else None


def _of_file(file: Path, function: str, options: Options) -> OpenedModel:
    """The functions of a Python file: the one named, and ``explain`` and ``features`` beside it, if there are any."""
    module = _imported(file)
    found = {name: _called(module, name) for name in (function, "explain", "features")}
    predict = found[function]
    if predict is None:
        raise OtherModelError(file, f"has no function {function}", "name one of its functions: file.py:function")
    classes = options.classes or _labels(getattr(module, "CLASSES", None))
    if not classes:
        hint = "name them with --class CLASS=LABEL in the order of its numbers, or in the file as CLASSES"
        raise OtherModelError(file, "doesn't say what its classes are", hint)
    target = options.target or str(getattr(module, "TARGET", next(iter(classes))))
    version = options.version or str(getattr(module, "VERSION", ""))
    return function_model(
        predict, f"{file.stem}-{function}", classes, target, version=version,
        explain=found["explain"], features=found["features"],
        image_size=int(getattr(module, "IMAGE_SIZE", SIDE)), lungs_by=options.lungs_by,
    )  # fmt: skip


def _imported(file: Path) -> Any:
    """The user's own file, run: nothing that it does is held back."""
    if not file.is_file():
        raise OtherModelError(
            file, "there is no such file", "name a Python file and a function in it: file.py:function"
        )
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code: whatever it raises
        said = (str(error).splitlines() or [""])[0][:200]
        hint = "it must run by itself: try `python` with it first"
        raise OtherModelError(file, f"can't be run ({type(error).__name__}: {said})", hint) from error
    finally:
        sys.path.pop(0)
    return module


def _called(module: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(module, name, None)
    return found if callable(found) else None


def _labels(stated: object) -> Labels:
    """``CLASSES`` of a file: names, or the labels of each name."""
    if isinstance(stated, Mapping):
        return {str(name): [labels] if isinstance(labels, str) else list(labels) for name, labels in stated.items()}
    return {str(name): [str(name)] for name in stated} if isinstance(stated, list | tuple) else {}
