"""Terminals and pipes as people have them: any encoding, any width."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lungsight.cli import app, main
from lungsight.cli.output import take_any_character
from lungsight.cli.root import COMMANDS

ENCODINGS = ["ascii", "latin-1", "cp437", "cp1252", "utf-8"]


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    returncode: int
    stdout: bytes
    stderr: bytes


def _run(words: list[str], encoding: str = "utf-8", **environment: str) -> Ended:
    """``lungsight WORDS`` as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "lungsight", *words],
        env=kept | {"PYTHONIOENCODING": encoding, **environment}, capture_output=True, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[io.BytesIO, io.BytesIO]]:
    """Put pipes of an encoding in the place of this process's streams, strict as Python opens them."""

    def put(encoding: str) -> tuple[io.BytesIO, io.BytesIO]:
        pipes = io.BytesIO(), io.BytesIO()
        for name, pipe, errors in zip(("stdout", "stderr"), pipes, ("strict", "backslashreplace"), strict=True):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(pipe, encoding, errors, write_through=True))
        return pipes

    return put


@pytest.fixture
def run(
    streams: Callable[[str], tuple[io.BytesIO, io.BytesIO]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """``lungsight WORDS`` in this process: a process of its own takes seconds to import everything."""

    def call(words: list[str], encoding: str = "utf-8") -> Ended:
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "argv", ["lungsight", *words])
        stdout, stderr = streams(encoding)
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue())

    return call


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_help_can_be_shown(streams: Callable[[str], tuple[io.BytesIO, io.BytesIO]], encoding: str) -> None:
    stdout, stderr = streams(encoding)
    take_any_character()
    for words in ["", *COMMANDS, "data check", "data get", "data build", "package verify", "package complete"]:
        app([*words.split(), "--help"], standalone_mode=False)
    assert stderr.getvalue() == b""
    shown = stdout.getvalue().decode(encoding)
    assert "--model" in shown
    if encoding == "ascii":
        assert "+-" in shown
        assert "\\u" not in shown


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["胸片.png", "Röntgen–ä.png", "😀.png"])
def test_a_name_that_the_terminal_cannot_show(
    films: Path, model: Path, run: Callable[..., Ended], encoding: str, name: str
) -> None:
    (films / "a.png").rename(films / name)
    (films / f"damaged {name}").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = run(["scan", str(films), "--model", str(model), "--json", str(films / "found.jsonl")], encoding)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    shown = done.stdout.decode(encoding)
    assert f"{films}/{name}".encode("ascii", "ignore").decode().split("/")[-2] in shown
    named = [json.loads(line)["file"] for line in (films / "found.jsonl").read_text("utf-8").splitlines()]
    assert f"{films}/{name}" in named


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_on_standard_output_is_utf8_wherever_it_goes(
    films: Path, model: Path, run: Callable[..., Ended], encoding: str
) -> None:
    (films / "a.png").rename(films / "胸片 ä 😀.png")
    done = run(["scan", str(films), "--model", str(model), "--json", "-"], encoding)
    assert done.returncode == 0, done.stderr
    named = [json.loads(line)["file"] for line in done.stdout.decode("utf-8").splitlines()]
    assert f"{films}/胸片 ä 😀.png" in named


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_that_is_no_text(films: Path, model: Path, run: Callable[..., Ended], encoding: str) -> None:
    os.rename(films / "a.png", os.fsencode(films) + b"/\xff\xe9.png")
    done = run(["scan", str(films), "--model", str(model), "--csv", "-"], encoding)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.decode("utf-8").splitlines()) == 4


def test_the_c_locale(films: Path, model: Path) -> None:
    """A real process: no stream of it takes the file's name, nor the dashes of our sentences."""
    (films / "a.png").rename(films / "胸片 😀.png")
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = _run(["scan", str(films), "--model", str(model), "--json", str(films / "found.jsonl")], "ascii", **plain)
    assert done.returncode == 0, done.stderr
    assert b"\\u80f8\\u7247" in done.stdout
    named = [json.loads(line)["file"] for line in (films / "found.jsonl").read_text("utf-8").splitlines()]
    assert f"{films}/胸片 😀.png" in named


def test_a_pipe_breaks_no_name(films: Path, model: Path, run: Callable[..., Ended]) -> None:
    deep = films / ("ward " * 20).strip() / ("bed " * 20).strip()
    deep.mkdir(parents=True)
    (films / "a.png").rename(deep / "a.png")
    (deep / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines = run(["scan", str(films), "--model", str(model)]).stdout.decode().splitlines()
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
