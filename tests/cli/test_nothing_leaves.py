"""No command reaches another machine: under a guard in Python and, where there is strace, by the system's own record,
which sees what libraries of C do as well."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
import typer

from lungsight._environment import SILENT
from lungsight.cli import app
from lungsight.pacs.store import Store
from other_onnx import convolutional
from tiny_package import CLASSES, write_tiny

GUARD = Path(__file__).parents[1] / "socket_guard"
#: Onnxruntime's telemetry waits for some seconds before it calls.
_WATCHED_SECONDS = 14
_SMALL = (
    "backbone=test_resnet", "image_size=64", "batch_size=8", "split.find_duplicates=false", "weights=random",
    'stages=[{epochs=1,frozen=true,lr=3e-3}]', "learning_rate_search.iterations=12",
)  # fmt: skip
_SET = [word for setting in _SMALL for word in ("--set", setting)]

#: Every command, in an order in which each finds what it needs; `data get` is the one that is asked to fetch.
CALLS: dict[str, list[str]] = {
    "phantom": ["--out", "phantoms", "--patients", "69", "--size", "96"],
    "data list": [],
    "data describe": ["nih"],
    "data build": [
        "class-folders", "phantoms", "--label", "images=covid19", "--label", "lungs=normal", "--out", "built.csv",
    ],
    "data check": ["phantoms/manifest.csv", "--json", "check.json"],
    "data views": ["phantoms/manifest.csv", "--out", "views.csv"],
    "scan": ["phantoms/images", "--model", "tiny", "--json", "found.jsonl", "--html", "found.html", "--csv", "f.csv"],
    "triage": ["found.jsonl", "--csv", "list.csv"],
    "pacs status": ["--store", "queue"],
    "verify": ["tiny"],
    "package verify": ["tiny"],
    "package describe": ["tiny"],
    "package wrap": ["theirs.onnx", "--yes", *(word for name in CLASSES for word in ("--class", name))],
    "evaluate": [
        "tiny", "--data", "phantoms/manifest.csv", "--out", "tested", "--replicates", "100", "--audit-images", "20",
    ],
    "adapt": [
        "tiny", "--data", "phantoms/manifest.csv", "--out", "adapted", "--replicates", "100", "--even-if-worse",
    ],
    "package complete": ["tiny", "tested"],
    "compare": ["tested", "again", "--out", "compared", "--replicates", "100"],
    "find-lr": ["demo", "--data", "phantoms/manifest.csv", "--out", "rate", *_SET],
    "train": ["demo", "--data", "phantoms/manifest.csv", "--out", "run", "--cache", "cache", "--no-results", *_SET],
}  # fmt: skip
_ASKED_TO_FETCH = {"data get"}


@dataclass(frozen=True)
class Watched:
    """A command that ran under the guard."""

    status: int
    output: str
    attempts: list[str]


def _watched(
    words: list[str], folder: Path, seconds: float = 900, until: Callable[[], bool] = lambda: False
) -> Watched:
    """``lungsight WORDS`` in ``folder``, interrupted as by Ctrl-C after ``seconds`` or when ``until`` is true."""
    return _under_guard([sys.executable, "-m", "lungsight", *words], folder, seconds, until)


def _under_guard(
    command: list[str], folder: Path, seconds: float = 60, until: Callable[[], bool] = lambda: False
) -> Watched:
    log, trace = folder / "sockets.log", folder / "strace.log"
    for old in (log, trace):
        old.unlink(missing_ok=True)
    strace = shutil.which("strace")
    follow = ["-f", "--seccomp-bpf", "-o", str(trace), "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    under = [strace, *follow] if strace else []
    kept = {name: value for name, value in os.environ.items() if name not in SILENT}
    paths = os.pathsep.join([str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = kept | {"PYTHONPATH": paths, "LUNGSIGHT_SOCKET_LOG": str(log), "HOME": str(folder / "home")}
    process = subprocess.Popen(
        [*under, *command],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline, output = time.monotonic() + seconds, None
    while output is None:
        try:
            output, _ = process.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline or until():
                os.killpg(process.pid, signal.SIGINT)
                output, _ = process.communicate(timeout=60)
    attempts = log.read_text("utf-8").splitlines() if log.is_file() else []
    traced = trace.read_text("utf-8", "replace").splitlines() if trace.is_file() else []
    return Watched(process.returncode, output, attempts + [line for line in traced if _leaves(line)])


def _leaves(line: str) -> bool:
    """Whether a line of strace's speaks of another machine's address."""
    address = re.search(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', line)
    return address is not None and not (address[1] or address[2]).startswith(
        ("127.", "::1", "::ffff:127.", "0.0.0.0")
    )


def _commands() -> set[str]:
    """The name of every command that there is."""
    root = typer.main.get_command(app)
    context = typer.Context(root)
    names = set()
    for name in root.list_commands(context):  # type: ignore[attr-defined]
        command = root.resolve_command(context, [name])[1]  # type: ignore[attr-defined]
        within = getattr(command, "commands", None)
        names |= {f"{name} {one}" for one in within} if within else {name}
    return names


def test_every_command_is_watched_here() -> None:
    runs_others = {"demo"}  # as processes of their own, each of which is watched here
    runs_on = {"serve"}  # until it is stopped: watched in tests/room/test_server.py
    assert _commands() == set(CALLS) | _ASKED_TO_FETCH | runs_others | runs_on


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_no_command_reaches_another_machine(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny", recipe={"classes": {name: [name] for name in CLASSES}})
    onnx.save(convolutional(), tmp_path / "theirs.onnx")
    (tmp_path / "home").mkdir()
    with Store(tmp_path / "queue"):  # `pacs` itself reaches the archive that it is told to; tests/pacs run it
        pass
    for name, rest in CALLS.items():
        if name == "compare":
            shutil.copytree(tmp_path / "tested", tmp_path / "again")
        ran = _watched([*name.split(), *rest], tmp_path)
        assert ran.attempts == [], name
        assert ran.status == 0, (name, ran.output)
    left = [path for path in (tmp_path / "home").rglob("*") if "microsoft" in str(path).lower()]
    assert left == []


def test_a_folder_that_is_watched_for_long_stays_here(tmp_path: Path, films: Path) -> None:
    (tmp_path / "home").mkdir()
    found, begun = tmp_path / "found.jsonl", time.monotonic()

    def watched_long() -> bool:
        scanned = found.is_file() and len(found.read_text("utf-8").splitlines()) == 3
        return scanned and time.monotonic() > begun + _WATCHED_SECONDS

    ran = _watched(["scan", str(films), "--watch", "--json", "found.jsonl"], tmp_path, 120, watched_long)
    assert ran.attempts == []
    assert len(found.read_text("utf-8").splitlines()) == 3
    assert not [path for path in (tmp_path / "home").rglob("*") if "microsoft" in str(path).lower()]


@pytest.mark.slow
def test_ray_on_this_machine_stays_here(tmp_path: Path, films: Path, model: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "home").mkdir()
    words = ["scan", str(films), "--model", str(model), "--engine", "ray", "--workers", "1", "--json", "found.jsonl"]
    ran = _watched(words, tmp_path)
    assert ran.attempts == []
    assert ran.status == 0, ran.output
    assert len((tmp_path / "found.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.getaddrinfo('example.invalid', 80)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    ],
)
def test_the_guard_sees_what_leaves(tmp_path: Path, attempt: str) -> None:
    """A guard that sees nothing would pass everything."""
    assert _under_guard([sys.executable, "-c", f"import socket; {attempt}"], tmp_path).attempts != []


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_system_s_record_sees_what_is_not_python(tmp_path: Path) -> None:
    assert _under_guard(["bash", "-c", "echo x > /dev/udp/192.0.2.1/53"], tmp_path).attempts != []
    assert _under_guard(["bash", "-c", "echo x > /dev/udp/127.0.0.1/53"], tmp_path).attempts == []


@pytest.mark.parametrize("name", sorted(SILENT))
def test_no_setting_of_the_user_makes_a_library_report(name: str) -> None:
    """They are there before onnxruntime is imported, by whatever module of ours."""
    code = (
        "import json, os, sys\n"
        "import lungsight.components.runtime\n"
        "print(json.dumps(['onnxruntime' in sys.modules, os.environ[sys.argv[1]]]))\n"
    )
    environment = os.environ | {name: "something else"}
    done = subprocess.run([sys.executable, "-c", code, name], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout) == [False, SILENT[name]]
