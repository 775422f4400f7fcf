"""Put into a package what a test found out about its model: all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lungsight.faults import InvalidPackage
from lungsight.package.description import PackageDescription
from lungsight.package.reading import ModelPackage
from lungsight.package.storage import PAPERS
from lungsight.package.writing import put_in_place, sign


def add_evidence(folder: Path, files: Mapping[str, bytes]) -> PackageDescription:
    """Write the model card, ``metadata.json`` and ``evidence.json`` that are given into the package at ``folder``,
    in place of those it has. The model, and with it :attr:`ModelPackage.id`, stays what it was.

    Returns:
        The description as written, with the new files' sha256.

    Raises:
        InvalidPackage: ``folder`` holds no package, or is a zip, or ``files`` names a file that isn't one of these.
    """
    description = ModelPackage.open(folder).description
    if not folder.is_dir():
        cure = "unzip it, complete the folder, and zip that again"
        raise InvalidPackage(folder, "is a zip, and only a folder can be completed", cure)
    if foreign := sorted(set(files) - set(PAPERS)):
        raise InvalidPackage(folder, f"can't be given {', '.join(foreign)}", f"give only {', '.join(PAPERS)}")
    folder = folder.resolve()
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder, partial)
    for name, content in files.items():
        (partial / name).write_bytes(content)
    signed = sign(partial, description, *files)
    put_in_place(partial, folder)
    return signed
