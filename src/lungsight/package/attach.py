"""Put into a package what a test found out about its model: all of it, or nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from lungsight._files import atomic_folder
from lungsight.errors import PackageError
from lungsight.package.description import PackageDescription
from lungsight.package.open import ModelPackage
from lungsight.package.storage import EVIDENCE, METADATA, PAPERS
from lungsight.package.write import sign


def add_evidence(folder: Path, files: Mapping[str, bytes]) -> PackageDescription:
    """Put a model card and ``evidence.json`` into a package; its id stays what it was.

    Args:
        folder: of the package.
        files: one of these, or both, by name; they replace those it has.

    Returns:
        The description as written, with the new files' sha256.

    Raises:
        PackageError: ``folder`` holds no package, or is a zip, or ``files`` names another file.
    """
    description = ModelPackage.open(folder).description
    if not folder.is_dir():
        hint = "unzip it, complete the folder, and zip that again"
        raise PackageError(folder, "is a zip, and only a folder can be completed", hint)
    if foreign := sorted(set(files) - set(PAPERS)):
        raise PackageError(folder, f"can't be given {', '.join(foreign)}", f"give only {', '.join(PAPERS)}")
    folder = folder.resolve()
    with atomic_folder(folder) as partial:
        shutil.copytree(folder, partial, dirs_exist_ok=True)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        (partial / METADATA).unlink(missing_ok=True)  # an older package's, and now out of date
        kept = {name: digest for name, digest in description.files.items() if name != METADATA}
        return sign(partial, description.model_copy(update={"files": kept}), *files)


def complete(folder: Path, evaluation: Path) -> PackageDescription:
    """Put the model card and ``evidence.json`` of the folder ``evaluation`` into the package at ``folder``.

    Raises:
        PackageError: as :func:`add_evidence`, or one of them is missing or about another model.
    """
    model = ModelPackage.open(folder).id
    files = {name: _paper(evaluation, name) for name in PAPERS}
    if (tested := _model_in(evaluation, files[EVIDENCE])) != model:
        hint = "give the folder of this model's own evaluation, or evaluate it again"
        raise PackageError(evaluation, f"holds evidence of the model {tested}, not of {model}", hint)
    return add_evidence(folder, files)


def _paper(evaluation: Path, name: str) -> bytes:
    try:
        return (evaluation / name).read_bytes()
    except OSError as error:
        problem = f"gives no {name} ({error.strerror})"
        raise PackageError(evaluation, problem, "give a folder that `lungsight evaluate` wrote") from error


def _model_in(evaluation: Path, content: bytes) -> str:
    """The model that ``evidence.json`` is about."""
    try:
        return str(json.loads(content)["subject"]["model"])
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{EVIDENCE} doesn't say which model it is about"
        raise PackageError(evaluation, problem, "run `lungsight evaluate` again") from error
