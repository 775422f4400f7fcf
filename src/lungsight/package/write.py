"""Write a model package: all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_safetensors

from lungsight._files import atomic_folder, file_sha256
from lungsight.errors import PackageError
from lungsight.package.components import ComponentFiles
from lungsight.package.description import PackageDescription
from lungsight.package.storage import (
    DESCRIPTION,
    MODEL_CARD,
    NETWORK,
    PARTS,
    REFERENCE,
    TRAINED_ON,
    WEIGHTS,
)
from lungsight.package.trained_on import TrainedImage, to_csv
from lungsight.package.verify import run_checked, run_components

Weights = Path | Mapping[str, np.ndarray]


def write_package(
    folder: Path,
    description: PackageDescription,
    *,
    network: Path,
    weights: Weights,
    reference_inputs: np.ndarray,
    trained_on: Iterable[TrainedImage],
    model_card: str,
    parts: Mapping[str, bytes] | None = None,
) -> PackageDescription:
    """Write a package to ``folder``, replacing the package that may be there.

    Args:
        folder: where the package will stand; it appears only when it is whole.
        description: its ``files`` are filled in here.
        network: an ONNX file that keeps the contract of :mod:`lungsight.components.classifier`.
        weights: a safetensors file, or arrays by name.
        reference_inputs: uint8 [N, 1, side, side], divided by 255 for the network; two images are enough.
        trained_on: every image the model was trained or tuned on.
        model_card: Markdown.
        parts: the files of lung fields, gate and familiarity, by name (:data:`storage.ACTING_PARTS`): those that
            ``description`` describes, and no others.

    Returns:
        The description as written, with the sha256 of every file.

    Raises:
        PackageError: the network, or another part, isn't one that scanning could run, or ``folder`` holds something
            else.
    """
    _refuse_other_content(folder)
    if foreign := sorted(set(parts or {}) - description.described_parts):
        problem = f"can't be given {foreign[0]}, which isn't described"
        raise PackageError(folder, problem, "describe it or leave it out")
    onnx_file, parts = network.read_bytes(), dict(parts or {})
    contents = {
        NETWORK: onnx_file,
        MODEL_CARD: model_card.encode(),
        REFERENCE: _reference(network, onnx_file, parts, description, reference_inputs),
        TRAINED_ON: to_csv(trained_on),
        **parts,
    }
    with atomic_folder(folder) as partial:
        for name, content in contents.items():
            (partial / name).write_bytes(content)
        _write_weights(weights, partial / WEIGHTS)
        digests = {name: file_sha256(partial / name) for name in (*PARTS, *parts)}
        return sign(partial, description.model_copy(update={"files": digests}))


def sign(folder: Path, description: PackageDescription, *names: str) -> PackageDescription:
    """Write ``package.json`` into ``folder`` with the sha256 of the files ``names`` beside those it has already."""
    digests = {name: file_sha256(folder / name) for name in names}
    signed = description.model_copy(update={"files": description.files | digests})
    (folder / DESCRIPTION).write_text(signed.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return signed


def _refuse_other_content(folder: Path) -> None:
    if folder.exists() and not (folder / DESCRIPTION).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise PackageError(folder, "is there already and isn't a model package", "choose another folder")


def _reference(
    path: Path, onnx_file: bytes, parts: Mapping[str, bytes], description: PackageDescription, inputs: np.ndarray
) -> bytes:
    try:
        components = ComponentFiles(description, {NETWORK: onnx_file, **parts}.__getitem__).components()
        outputs = run_checked(description, components.network, inputs)
        run_components(components, inputs)
    except ValueError as error:
        raise PackageError(path, f"can't be packed: {error}", "export the network again") from error
    tensors = {"inputs": inputs, **outputs._asdict()}
    return bytes(save_safetensors({name: np.ascontiguousarray(value) for name, value in tensors.items()}))


def _write_weights(weights: Weights, target: Path) -> None:
    if not isinstance(weights, Path):
        target.write_bytes(save_safetensors({k: np.ascontiguousarray(v) for k, v in weights.items()}))
        return
    try:
        with safe_open(weights, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise PackageError(weights, "isn't a safetensors file", "save the weights with safetensors") from error
    shutil.copyfile(weights, target)
