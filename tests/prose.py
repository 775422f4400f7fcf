"""The sentences of a page, for a snapshot: figures, paths, dates and versions are masked, each line is there once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

_BLOCKS = (
    *("p", "li", "h1", "h2", "h3", "h4", "th", "td", "dt", "dd", "caption", "figcaption", "title", "div", "section"),
    *("table", "ul", "ol", "tr", "footer", "summary", "pre"),
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\+\d\d:\d\d)?)?")
#: A number that isn't part of a word (COVID-19, sha256).
_NUMBER = re.compile(r"(?<![\w-])[−+-]?\d(?:[\d.,:]*\d)?(?![\w])")


class _Lines(HTMLParser):
    """The text of each block; of an image its alternative text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines, self._hidden = [""], False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a block, or note what an image is said to show."""
        self._hidden = tag in ("style", "script")
        if tag in _BLOCKS:
            self.lines.append("")
        if tag == "img":
            self.lines += [f"[image: {dict(attrs).get('alt')}]", ""]

    def handle_endtag(self, tag: str) -> None:
        """End a block."""
        self._hidden = False
        if tag in _BLOCKS:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        """Add to the block."""
        if not self._hidden:
            self.lines[-1] += data


def of_page(html: str, masks: Mapping[str, str]) -> str:
    """The sentences of an HTML page; ``masks`` are what else to replace, and by what."""
    reader = _Lines()
    reader.feed(re.sub(r'<span class="axis".*?</span></span>', " ", html))
    return of_text("\n".join(" ".join(line.split()) for line in reader.lines), masks)


def of_text(text: str, masks: Mapping[str, str]) -> str:
    """The lines of a plain text, each once."""
    for found, mask in masks.items():
        text = text.replace(found, mask)
    lines = (_NUMBER.sub("#", _DATE.sub("<date>", line)).rstrip() for line in text.splitlines())
    return "\n".join(dict.fromkeys(line for line in lines if line))
