"""The package's self-check: do its networks give the same outputs here as where they were made?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from lungsight.components.calibration import failed_fit
from lungsight.components.classifier import Floats, Network, Outputs, bias_of
from lungsight.errors import PackageError
from lungsight.package.components import ComponentFiles, Components
from lungsight.package.description import PackageDescription
from lungsight.package.storage import FAMILIARITY, GATE, LUNG_FIELDS, NETWORK, REFERENCE, WEIGHTS

#: How far an output may lie from its reference: absolute for values up to 1, relative above.
TOLERANCE = 1e-4

_MAKE_AGAIN = "export the model again with `lungsight train`"


def verify_components(files: ComponentFiles, path: Path, weights: bytes, reference_file: bytes) -> None:
    """Check that the components of the package at ``path`` work and fit together.

    Raises:
        PackageError: the first thing that doesn't.
    """
    if problem := failed_fit(files.description.calibration):
        raise PackageError(path, f"its calibration {problem}", "fit it again on more validation images")
    _safetensors(path, WEIGHTS, weights)
    reference = _references(path, reference_file)
    try:
        components = files.components()
        _check_reference(path, files.description, reference, components.network)
        run_components(components, reference["inputs"])
    except ValueError as error:
        raise PackageError(path, str(error), _MAKE_AGAIN) from error


def verify_one(path: Path, description: PackageDescription, reference_file: bytes, network: Network) -> None:
    """Check the network's outputs for the first reference input: quick enough whenever a package is loaded.

    Raises:
        PackageError: they aren't the reference outputs.
    """
    references = _references(path, reference_file)
    _check_reference(path, description, {name: values[:1] for name, values in references.items()}, network)


def as_network_input(reference_inputs: np.ndarray) -> Floats:
    """uint8 [N, 1, side, side] as the network takes it, 0…1."""
    return np.asarray(reference_inputs, dtype=np.float32) / np.float32(255)


def run_checked(description: PackageDescription, network: Network, reference_inputs: np.ndarray) -> Outputs:
    """The network's outputs for the reference inputs.

    Raises:
        ValueError: the inputs have another shape than the description says, the outputs aren't one finite number a
            class, or the logits aren't the mean of the maps plus one bias a class.
    """
    side = description.preprocessing.image_size
    shape = reference_inputs.shape
    if reference_inputs.dtype != np.uint8 or len(shape) != 4 or shape[0] < 1 or shape[1:] != (1, side, side):
        raise ValueError(
            f"reference inputs must be uint8 [N, 1, {side}, {side}], not {reference_inputs.dtype} {shape}"
        )
    try:
        outputs = network.run(as_network_input(reference_inputs))
    except Exception as error:  # onnxruntime has a dozen kinds, with no base of their own
        raise ValueError(f"the network fails on {side} x {side} pixels") from error
    classes = len(description.classes)
    if outputs.logits.shape != (shape[0], classes) or outputs.maps.shape[:2] != (shape[0], classes):
        raise ValueError(f"the network has {outputs.logits.shape[1:]} outputs for {classes} classes")
    if not (np.isfinite(outputs.logits).all() and np.isfinite(outputs.maps).all()):
        raise ValueError("the network gives values that aren't numbers")
    bias = bias_of(outputs)
    if not _close(bias, bias[:1], scale=outputs.maps):
        raise ValueError("the logits aren't the mean of their maps plus a bias")
    return outputs


def run_components(components: Components, reference_inputs: np.ndarray) -> None:
    """Run lung segmentation, input gate and out-of-distribution detector, if there are any, on a reference input.

    Raises:
        ValueError: one of them fails or gives no number; the sentence names its file.
    """
    prepared = as_network_input(reference_inputs[:1])
    name = LUNG_FIELDS
    try:
        if components.lung_fields is not None:
            components.lung_fields.find(prepared[0, 0])
        name = GATE
        if components.gate is not None and not 0 <= components.gate.ask(prepared[0, 0]).probability <= 1:
            raise ValueError("its answer is not a probability")
        name = FAMILIARITY
        if components.ood is not None:
            _, features = components.network.run_with_features(prepared)
            if not np.isfinite(components.ood.distance(features)).all():
                raise ValueError("its answer is not a distance")
    except Exception as error:  # onnxruntime has a dozen kinds, with no base of their own
        raise ValueError(f"{name} fails on a reference image") from error


def _check_reference(
    path: Path, description: PackageDescription, reference: Mapping[str, np.ndarray], network: Network
) -> None:
    try:
        outputs = run_checked(description, network, reference["inputs"])
    except ValueError as error:
        raise PackageError(path, f"{NETWORK} fails its self-check: {error}", _MAKE_AGAIN) from error
    for name, value in outputs._asdict().items():
        if value.shape != reference[name].shape or not _close(value, reference[name]):
            raise PackageError(path, f"{NETWORK} no longer gives its reference {name}", _MAKE_AGAIN)


def _references(path: Path, content: bytes) -> Mapping[str, np.ndarray]:
    """``inputs``, ``logits`` and ``maps``, of each the same images."""
    references = _safetensors(path, REFERENCE, content)
    if missing := {"inputs", "logits", "maps"} - references.keys():
        raise PackageError(path, f"{REFERENCE} lacks {', '.join(sorted(missing))}", _MAKE_AGAIN)
    return references


def _safetensors(path: Path, name: str, content: bytes) -> dict[str, np.ndarray]:
    try:
        return load_safetensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise PackageError(path, f"{name} isn't a readable safetensors file", _MAKE_AGAIN) from error


def _close(value: np.ndarray, reference: np.ndarray, scale: np.ndarray | None = None) -> bool:
    span = np.maximum(1.0, np.abs(reference if scale is None else np.max(np.abs(scale))))
    return bool(np.all(np.abs(value - reference) <= TOLERANCE * span))
