"""The demo: its steps hang together, and what its box says is what its pages show."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.cli import demo as module

runner = CliRunner()


def test_every_page_of_the_box_is_written_by_a_step_and_nothing_is_read_before_it_is_written(tmp_path: Path) -> None:
    written: set[Path] = {tmp_path / "images"}  # chosen before the scan
    for step in module.steps_in(tmp_path):
        made: set[Path] = set()
        for words in step.commands.values():
            named = pairwise(words)
            out = {Path(value) for option, value in named if option in ("--out", "--html")}
            for path in {Path(word) for word in words if word.startswith(str(tmp_path))} - out:
                assert any(path.is_relative_to(before) for before in written), (words, path)
            assert not made & out
            made |= out
        written |= made
    for page in module.PAGES:
        file = tmp_path / page.file
        assert any(file == made or file.parent == made for made in written)
    assert len(module.PAGES) == 5


def test_a_step_that_fails_names_its_log_and_the_exit_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(out: Path) -> Iterator[module.Step]:
        yield module.Step("looking for nothing", {"right": ("--version",), "wrong": ("scan-nothing",)})

    monkeypatch.setattr(module, "steps_in", bad)
    done = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 3
    said = " ".join(done.output.split())
    assert "1/1 looking for nothing" in said
    log = tmp_path / "logs" / "wrong.log"
    assert "No such command" in log.read_text(encoding="utf-8")
    assert re.search(r"ended with status 2; its output is in .*wrong\.log", re.sub(r"\s", " ", said))


def test_images_are_copied_under_names_that_state_their_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lungsight.datasets.phantom import Shortcut, write_collection

    write_collection(
        tmp_path / "test", patients=24, seed=2, size=32, shortcut=Shortcut.CORNER_LETTER, strength=0.5, workers=1
    )
    monkeypatch.setattr(module, "IMAGES", 1)
    module._choose_images(tmp_path / "test", tmp_path / "images")
    rows = list(csv.DictReader((tmp_path / "test" / "manifest.csv").open(encoding="utf-8")))
    by_bytes = {(tmp_path / "test" / row["path"]).read_bytes(): row for row in rows}
    images = sorted((tmp_path / "images").iterdir())
    assert len(images) == 4
    for image in images:
        row = by_bytes[image.read_bytes()]
        assert image.name.startswith(f"{row['label']} {'with' if row['shortcut'] else 'without'} letter ")


@pytest.mark.long
def test_the_pages_show_what_the_box_says(tmp_path: Path) -> None:
    """The demo as a user runs it; some minutes."""
    done = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) < 40
    clean, letter = (
        json.loads((tmp_path / "tested" / model / "evidence.json").read_text(encoding="utf-8"))
        for model in (module.CLEAN, module.LETTER)
    )
    assert clean["verdict"]["grade"] == "internal only"
    assert clean["verdict"]["shortcut"] != "found"
    assert letter["verdict"]["shortcut"] == "found"
    for evidence, call, low, high in ((clean, "not shown", -0.5, 0.5), (letter, "found", 0.5, 1.5)):
        (hidden,) = [audit for audit in evidence["audits"] if audit["name"] == "lungs hidden"]
        assert hidden["call"] == call
        assert low < hidden["effect"]["value"] < high
    page = (tmp_path / "compared" / "index.html").read_text(encoding="utf-8")
    assert "internal only" in page
    assert "shortcut found" in page
    assert all((tmp_path / page.file).is_file() for page in module.PAGES)


@pytest.mark.skipif(os.name != "posix", reason="an interrupt is sent the POSIX way")
def test_an_interrupt_ends_the_commands_that_run(tmp_path: Path) -> None:
    """Sent to the demo alone, as by a supervisor: a terminal sends it to the commands, too."""
    log = tmp_path / "logs" / "phantom-scan.log"
    command = [sys.executable, "-m", "lungsight", "demo", "--out", str(tmp_path)]
    demo = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(demo.pid).children()
    demo.send_signal(signal.SIGINT)
    _, said = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "The same command resumes." in said
    assert "Traceback" not in said
    assert children
    assert not any(child.is_running() for child in children)
