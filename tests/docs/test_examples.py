"""The Python in the documentation runs as it stands."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight.datasets.phantom import Label, draw

ROOT = Path(__file__).parents[2]
#: A block that takes longer than a few seconds has the comment ``<!-- slow -->`` above it.
_BLOCK = re.compile(r"^(<!-- slow -->\n)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}", marks=[pytest.mark.slow] if slow else [])
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for number, (slow, code) in enumerate(_BLOCK.findall(page.read_text("utf-8")))
]


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the examples."""
    monkeypatch.chdir(tmp_path)
    Path("ward").mkdir()
    for seed, name in enumerate(("chest.png", "ward/a.png", "ward/b.png")):
        pixels = draw(seed, next(iter(Label)), size=512).pixels
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(name)
    with zipfile.ZipFile("study.zip", "w") as archive:
        archive.write("chest.png")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.usefixtures("clinic")
@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "example", "exec"), {})
    assert capsys.readouterr().out
