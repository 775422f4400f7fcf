"""Terminals and pipes as people have them: any encoding, any width."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lungsight.cli.root import COMMANDS

ENCODINGS = ["ascii", "latin-1", "cp437", "cp1252", "utf-8"]


def _run(words: list[str], encoding: str = "utf-8", **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.run(
        [sys.executable, "-m", "lungsight", *words],
        env=kept | {"PYTHONIOENCODING": encoding, **environment}, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_help_can_be_shown(encoding: str) -> None:
    """All of them in one process, for each would take seconds."""
    code = (
        "import sys\n"
        "from lungsight.cli import app\n"
        "from lungsight.cli.output import take_any_character\n"
        "take_any_character()\n"
        "for words in map(str.split, sys.argv[1:]):\n"
        "    app([*words, '--help'], standalone_mode=False)\n"
    )
    words = ["", *COMMANDS, "data check", "data get", "data build", "package verify", "package complete"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == b""
    assert done.returncode == 0
    shown = done.stdout.decode(encoding)
    assert "--model" in shown
    if encoding == "ascii":
        assert "+-" in shown
        assert "\\u" not in shown


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["胸片.png", "Röntgen–ä.png", "😀.png"])
def test_a_name_that_the_terminal_cannot_show(films: Path, model: Path, encoding: str, name: str) -> None:
    (films / "a.png").rename(films / name)
    (films / f"damaged {name}").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = _run(["scan", str(films), "--model", str(model), "--json", str(films / "found.jsonl")], encoding)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    shown = done.stdout.decode(encoding)
    assert f"{films}/{name}".encode("ascii", "ignore").decode().split("/")[-2] in shown
    named = [json.loads(line)["file"] for line in (films / "found.jsonl").read_text("utf-8").splitlines()]
    assert f"{films}/{name}" in named


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_on_standard_output_is_utf8_wherever_it_goes(films: Path, model: Path, encoding: str) -> None:
    (films / "a.png").rename(films / "胸片 ä 😀.png")
    done = _run(["scan", str(films), "--model", str(model), "--json", "-"], encoding)
    assert done.returncode == 0, done.stderr
    named = [json.loads(line)["file"] for line in done.stdout.decode("utf-8").splitlines()]
    assert f"{films}/胸片 ä 😀.png" in named


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_that_is_no_text(films: Path, model: Path, encoding: str) -> None:
    os.rename(films / "a.png", os.fsencode(films) + b"/\xff\xe9.png")
    done = _run(["scan", str(films), "--model", str(model), "--csv", "-"], encoding)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.decode("utf-8").splitlines()) == 4


def test_the_c_locale(films: Path, model: Path) -> None:
    (films / "a.png").rename(films / "胸片.png")
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = _run(["scan", str(films), "--model", str(model)], "ascii", **plain)
    assert done.returncode == 0, done.stderr


def test_a_pipe_breaks_no_name(films: Path, model: Path) -> None:
    deep = films / ("ward " * 20).strip() / ("bed " * 20).strip()
    deep.mkdir(parents=True)
    (films / "a.png").rename(deep / "a.png")
    (deep / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines = _run(["scan", str(films), "--model", str(model)]).stdout.decode().splitlines()
    for name in ("a.png", "damaged.png"):
        assert any(f"{deep}/{name}" in line for line in lines), lines
    assert max(map(len, lines)) < 2000


def test_columns_are_obeyed_in_a_pipe(films: Path, model: Path) -> None:
    lines = _run(["scan", str(films), "--model", str(model)], COLUMNS="70").stdout.decode().splitlines()
    assert max(map(len, lines)) <= 70


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-"])
def test_a_stream_may_be_closed(films: Path, model: Path, stream: str) -> None:
    command = f'"{sys.executable}" -m lungsight scan "{films}" --model "{model}" --json "{films}/f.jsonl" {stream}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert len((films / "f.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize(("words", "resumes"), [(["phantom", "--patients", "3000", "--out"], True)])
def test_ctrl_c_says_whether_the_same_command_resumes(tmp_path: Path, words: list[str], resumes: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lungsight", *words, str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
    )
    images = tmp_path / "out" / "images"
    deadline = time.monotonic() + 60
    while not (images.is_dir() and any(images.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert ("The same command resumes." in said) is resumes
