"""lungsight finds signs of COVID-19 in chest X-rays and shows how far its finding can be trusted.

>>> from lungsight import Scanner                          # doctest: +SKIP
>>> Scanner().scan("image.png")
Finding('image.png', no_pneumonia, covid19=0.042, other_pneumonia=0.115, no_pneumonia=0.843)

Each public name is imported when it is first used: ``import lungsight`` loads neither numpy nor torch.

Research software: not a medical device, not for diagnosis.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from lungsight import _environment

if TYPE_CHECKING:
    from lungsight.api import adapt, evaluate, train
    from lungsight.errors import (
        CollectionError,
        DownloadError,
        LungsightError,
        ManifestError,
        MissingExtraError,
        PackageError,
        RecipeError,
        SplitLeakageError,
        UnreadableImageError,
    )
    from lungsight.evaluation.evaluate import Settings
    from lungsight.inference import Finding
    from lungsight.package import ModelPackage
    from lungsight.radiograph import Radiograph
    from lungsight.reading import read_radiograph
    from lungsight.scanning import Scanner

__all__ = [
    "RESEARCH_ONLY",
    "CollectionError",
    "DownloadError",
    "Finding",
    "LungsightError",
    "ManifestError",
    "MissingExtraError",
    "ModelPackage",
    "PackageError",
    "Radiograph",
    "RecipeError",
    "Scanner",
    "Settings",
    "SplitLeakageError",
    "UnreadableImageError",
    "__version__",
    "adapt",
    "evaluate",
    "read_radiograph",
    "train",
]

_environment.prepare()

__version__ = version("lungsight")

RESEARCH_ONLY = "Research software: not a medical device, not for diagnosis."

#: The module of every public name that isn't an error.
_MODULES = {
    "Finding": "lungsight.inference",
    "ModelPackage": "lungsight.package",
    "Radiograph": "lungsight.radiograph",
    "Scanner": "lungsight.scanning",
    "Settings": "lungsight.evaluation.evaluate",
    "adapt": "lungsight.api",
    "evaluate": "lungsight.api",
    "read_radiograph": "lungsight.reading",
    "train": "lungsight.api",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "lungsight.errors")), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
