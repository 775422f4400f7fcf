"""What a browser prints of the pages: all of it, also what is folded on the screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from browser import printed
from lungsight import RESEARCH_ONLY
from lungsight._templates import FOLDS

#: A sentence of several sections that are folded on the screen.
FOLDED = (
    "of the images given 80%, do 80 of 100 show it",
    "Clopper and Pearson",
    "What was asked, and what was found",
    "tripod_ai.csv",
)


@pytest.mark.parametrize("without", ["nothing", "the script", "the style"])
def test_everything_is_printed_by_any_browser(report: Path, tmp_path: Path, without: str) -> None:
    """Newer browsers open what is folded by the style sheet, older ones by the script."""
    text = (report / "index.html").read_text("utf-8")
    if without == "the script":
        text = text.replace(FOLDS, "")
    elif without == "the style":
        text, changed = re.subn(r"details::details-content \{.*?\}", "", text)
        assert changed == 1
    (tmp_path / "page.html").write_text(text, "utf-8")
    sheets = [" ".join(sheet.split()) for sheet in printed(tmp_path / "page.html")]
    assert all(RESEARCH_ONLY in sheet for sheet in sheets)
    for sentence in FOLDED:
        assert sentence in " ".join(sheets)
