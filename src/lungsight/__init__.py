"""lungsight finds signs of COVID-19 in chest X-rays and shows how far its finding can be trusted.

>>> from lungsight import Scanner                          # doctest: +SKIP
>>> Scanner().scan("film.png")
Finding('film.png', no_pneumonia, covid19=0.042, other_pneumonia=0.115, no_pneumonia=0.843)

Research software: not a medical device, not for diagnosis.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__all__ = ["RESEARCH_ONLY", "Finding", "Radiograph", "Scanner", "__version__", "read_radiograph"]

from lungsight import _environment

_environment.prepare()

__version__ = version("lungsight")

RESEARCH_ONLY = "Research software: not a medical device, not for diagnosis."

#: Where each name lives; it is imported when it is asked for, so that no command waits for what it doesn't use.
_HOMES = {
    "Finding": "lungsight.inference",
    "Radiograph": "lungsight.radiograph",
    "Scanner": "lungsight.scanning",
    "read_radiograph": "lungsight.reading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
