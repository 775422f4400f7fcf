"""What a browser makes of a page: Chromium without a screen. The test is skipped where a program is absent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_FRAME = """<!doctype html><style>body {{ margin: 0 }} iframe {{ border: 0; width: {width}px; height: 844px }}</style>
<body><iframe id="phone" src="{page}"></iframe><script>
onload = () => {{
  document.body.dataset.width = document.getElementById("phone").contentDocument.documentElement.scrollWidth;
}};
</script>"""


def _program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed")
    return found


def _chromium(*arguments: str, profile: Path) -> str:
    program = _program("chromium", "chromium-browser", "google-chrome")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    return subprocess.run(
        [program, *options, *arguments], capture_output=True, text=True, check=True, timeout=240
    ).stdout


def printed(page: Path) -> list[str]:
    """The text on each sheet of paper."""
    reader, sheet = _program("pdftotext"), page.with_suffix(".pdf")
    _chromium(f"--print-to-pdf={sheet}", "--no-pdf-header-footer", page.as_uri(), profile=page.parent / "profile")
    text = subprocess.run([reader, "-raw", str(sheet), "-"], capture_output=True, text=True, check=True).stdout
    return text.split("\f")[:-1]


def scroll_width(page: Path, width: int) -> int:
    """How many pixels wide ``page`` is on a screen of ``width`` pixels: more, where one has to scroll sideways."""
    frame = page.with_name("frame.html")
    frame.write_text(_FRAME.format(page=page.as_uri(), width=width), "utf-8")
    options = ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom"]
    found = re.search(r'data-width="(\d+)"', _chromium(*options, frame.as_uri(), profile=page.parent / "profile"))
    assert found, "the page was not loaded"
    return int(found[1])
