"""Pages from templates: one Jinja environment, and one design, for the findings of a scan and for every report."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from lungsight import RESEARCH_ONLY, __version__
from lungsight._text import as_words, fixed, percent, signed

#: Opens what is folded before a page is printed, where a browser's style sheet can't, and where a link leads into it.
FOLDS = """
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach(one => { one.open = true; });
});
addEventListener("afterprint", () => { opened.forEach(one => { one.open = false; }); });
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.matches("details")) at.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
""".strip()


def digest_of(script: str) -> str:
    """What a Content-Security-Policy calls a script by: its SHA-256 in base64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def template(package: str, name: str, script: str = "", **filters: Callable[..., Any]) -> Template:
    """The template ``templates/<name>`` of ``package``, with ``filters`` by their names in it.

    It may extend ``base.html.j2``, whose page runs ``script`` and no other. A variable that it isn't given is an
    error.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("lungsight")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=as_words, percent=percent, signed=signed, fixed=fixed, **filters)
    whole = "\n".join(part for part in (FOLDS, script) if part)
    environment.globals.update(
        research_only=RESEARCH_ONLY, version=__version__, script=Markup(whole), script_digest=digest_of(whole)
    )
    return environment.get_template(name)
