"""Pages: one self-contained HTML file each, that opens offline and prints."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import write_whole
from lungsight.evaluation.formatting import as_words
from lungsight.statistics.metrics import TITLES

_DPI = 110


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill ``templates/<template>`` and write it, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("lungsight.reporting"),
        autoescape=select_autoescape(["html", "j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = as_words
    environment.filters["embedded"] = embedded
    environment.globals.update(titles=TITLES, research_only=RESEARCH_ONLY, version=__version__)
    write_whole(path, environment.get_template(template).render(**content))


def embedded(picture: Figure | bytes, kind: str = "image/png") -> str:
    """A picture as a ``data:`` address."""
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=_DPI)
        picture = buffer.getvalue()
    return f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}"
