"""The packages that ship inside lungsight, and what ``--model NAME_OR_PATH`` means."""

from __future__ import annotations

from pathlib import Path

from lungsight.errors import PackageError
from lungsight.package.open import ModelPackage
from lungsight.package.storage import DESCRIPTION

#: What `lungsight scan` uses where no model is named.
DEFAULT = "released"

_FOLDER = Path(__file__).parents[1] / "bundled"


def bundled_packages() -> dict[str, Path]:
    """The folder of each package that ships, by its name."""
    folders = sorted(_FOLDER.iterdir()) if _FOLDER.is_dir() else []
    return {folder.name: folder for folder in folders if (folder / DESCRIPTION).is_file()}


def find_package(name_or_path: str | Path = DEFAULT) -> Path:
    """The folder or zip of a bundled package by its name, or of any other by its path.

    A folder of the user's that has a bundled package's name is ``./name``. Whether a path is a package isn't checked.

    Raises:
        PackageError: the default is meant and no package is bundled.
    """
    bundled = bundled_packages()
    name = str(name_or_path)
    if name in bundled:
        return bundled[name]
    if name == DEFAULT and not Path(name).exists():
        hint = "give a model package by --model, or install lungsight anew"
        raise PackageError(name, "no model is bundled with this installation", hint)
    return Path(name_or_path)


def package_with_view_classifier() -> ModelPackage | None:
    """The default package, if it is bundled and has a view classifier: for tests of models that have none."""
    folder = bundled_packages().get(DEFAULT)
    package = ModelPackage.open(folder) if folder else None
    return package if package and package.description.gate and package.description.gate.view else None


def is_package(name_or_path: str) -> bool:
    """Whether it names a package that ships, or is a folder or zip that may be one."""
    if name_or_path in bundled_packages():
        return True
    path = Path(name_or_path)
    return path.suffix == ".zip" or (path / DESCRIPTION).is_file()
