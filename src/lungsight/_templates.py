"""Pages from templates: one Jinja environment for the findings of a scan and for every report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from lungsight import RESEARCH_ONLY, __version__
from lungsight._text import as_words, fixed, percent, signed


def template(package: str, name: str, **filters: Callable[..., Any]) -> Template:
    """The template ``templates/<name>`` of ``package``, with ``filters`` by their names in it.

    A variable that it isn't given is an error.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("lungsight")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=as_words, percent=percent, signed=signed, fixed=fixed, **filters)
    environment.globals.update(research_only=RESEARCH_ONLY, version=__version__)
    return environment.get_template(name)
