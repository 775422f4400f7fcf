"""The packages that ship inside lungsight, and what ``--model NAME_OR_PATH`` means."""

from __future__ import annotations

from pathlib import Path

from lungsight.errors import PackageError
from lungsight.package.storage import DESCRIPTION

#: What `lungsight scan` uses where no model is named.
DEFAULT = "released"

_FOLDER = Path(__file__).parents[1] / "bundled"


def bundled_packages() -> dict[str, Path]:
    """The folder of each package that ships, by its name."""
    folders = sorted(_FOLDER.iterdir()) if _FOLDER.is_dir() else []
    return {folder.name: folder for folder in folders if (folder / DESCRIPTION).is_file()}


def find_package(name_or_path: str | Path = DEFAULT) -> Path:
    """The folder or zip that is meant: a bundled package by its name, anything else by its path. A folder of one's
    own that bears a bundled package's name is ``./name``.

    Raises:
        InvalidPackage: the default is meant and no package is bundled. Whether a path leads to a package isn't asked.
    """
    bundled = bundled_packages()
    name = str(name_or_path)
    if name in bundled:
        return bundled[name]
    if name == DEFAULT and not Path(name).exists():
        hint = "give a model package by --model, or install lungsight anew"
        raise PackageError(name, "no model is bundled with this installation", hint)
    return Path(name_or_path)
