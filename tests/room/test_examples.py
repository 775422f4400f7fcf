"""The examples for programs run as they stand, but for the address."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from room.conftest import png
from room.running import running

PAGE = (Path(__file__).parents[2] / "docs/how-to/open-the-reading-room.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8365"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_run(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chest.png").write_bytes(png())
    (code,) = re.findall(r"^```python room\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^curl .+$", PAGE, re.MULTILINE)
    assert len(lines) == 4
    with running(tmp_path / "store", "--model", package) as room:
        here = room.address.rstrip("/")
        exec(compile(code.replace(ADDRESS, here), "example", "exec"), {})
        for line in lines:
            command = ["sh", "-c", line.replace("curl ", "curl --silent --fail ", 1).replace(ADDRESS, here)]
            assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0, line
    printed = capsys.readouterr().out
    assert "'category': 'negative'" in printed
    assert Path("reads.csv").read_text().count("\n") == 2
