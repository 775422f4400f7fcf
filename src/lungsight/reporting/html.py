"""Pages: one self-contained HTML file each, that opens offline and prints."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lungsight._files import write_whole
from lungsight._templates import template
from lungsight.evaluation.formatting import p_in_words, withheld_because
from lungsight.reporting.page_tables import INTERVALS, titled

_DPI = 110


def write_page(path: Path, file: str, **content: Any) -> None:
    """Fill ``templates/<file>`` and write it, whole or not at all."""
    page = template(
        "lungsight.reporting",
        file,
        embedded=embedded,
        reason=withheld_because,
        p=p_in_words,
        interval=INTERVALS.get,
        titled=titled,
    )
    write_whole(path, page.render(**content))


def embedded(image: Figure | bytes, kind: str = "image/png") -> str:
    """An image as a ``data:`` address."""
    if isinstance(image, Figure):
        buffer = io.BytesIO()
        image.savefig(buffer, format="png", dpi=_DPI)
        image = buffer.getvalue()
    return f"data:{kind};base64,{base64.b64encode(image).decode('ascii')}"
