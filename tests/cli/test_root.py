from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner

from lungsight import RESEARCH_ONLY, __version__
from lungsight.cli import app
from lungsight.cli.root import COMMANDS
from lungsight.errors import ManifestError, SplitLeakageError, UnreadableImageError

runner = CliRunner()


@pytest.fixture
def scan_does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Puts another module in the place of ``lungsight.cli.scan``."""

    def put(command: Callable[[], None]) -> None:
        module = types.ModuleType("lungsight.cli.scan")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "lungsight.cli.scan", module)

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_help_lists_every_command_and_what_this_is() -> None:
    shown = runner.invoke(app, ["--help"], terminal_width=200)
    assert shown.exit_code == 0
    assert RESEARCH_ONLY in " ".join(shown.output.split())
    for name in COMMANDS:
        assert f" {name} " in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_helps_with_an_example(name: str) -> None:
    shown = runner.invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert f"lungsight {name}" in shown.output.replace("root", "lungsight")
    assert "Example" in shown.output


def test_version() -> None:
    assert runner.invoke(app, ["--version"]).output == f"lungsight {__version__}\n"


def test_a_misspelt_command_is_wrong_usage_and_the_right_one_is_named() -> None:
    shown = runner.invoke(app, ["daat"])
    assert shown.exit_code == 2
    assert "Did you mean 'data'" in shown.stderr


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (UnreadableImageError("a.png", "is empty", "send it again"), 1),
        (ManifestError("m.csv", "holds no images", "give one row per image"), 3),
        (SplitLeakageError("m.csv", "a patient on both sides", "split by patient"), 4),
    ],
)
def test_a_fault_is_one_sentence_and_its_status(scan_does, problem, status) -> None:
    scan_does(raising(problem))
    shown = runner.invoke(app, ["scan"])
    assert (shown.exit_code, shown.stderr, shown.stdout) == (status, f"{problem}\n", "")


def test_ctrl_c_is_one_line_and_130(scan_does) -> None:
    scan_does(raising(KeyboardInterrupt()))
    shown = runner.invoke(app, ["scan"])
    assert shown.exit_code == 130
    assert shown.stderr.startswith("Stopped.")
    assert shown.stderr.count("\n") == 1


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("sklearn.metrics", "report")])
def test_a_missing_extra_says_what_to_install(scan_does, module: str, extra: str) -> None:
    scan_does(raising(ModuleNotFoundError(f"No module named '{module}'", name=module)))
    shown = runner.invoke(app, ["scan"])
    assert shown.exit_code == 3
    assert f"pip install 'lungsight[{extra}]'" in shown.stderr


def test_a_fault_of_our_own_is_not_dressed_up_as_the_users(scan_does) -> None:
    scan_does(raising(ModuleNotFoundError("No module named 'lungsigth'", name="lungsigth")))
    assert isinstance(runner.invoke(app, ["scan"]).exception, ModuleNotFoundError)


def test_what_the_system_refuses_is_one_sentence(scan_does) -> None:
    scan_does(raising(PermissionError(13, "Permission denied", "/secret/out.csv")))
    shown = runner.invoke(app, ["scan"])
    assert (shown.exit_code, shown.stderr) == (3, "/secret/out.csv: permission denied; put that right first.\n")


def test_a_module_may_hold_a_group_of_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("lungsight.cli.package")
    module.app = typer.Typer()  # type: ignore[attr-defined]
    module.app.command("verify")(lambda: print("verified"))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lungsight.cli.package", module)
    assert runner.invoke(app, ["package", "verify"]).output == "verified\n"


@pytest.mark.parametrize("words", [["--help"], ["scan", "--help"], ["--version"]])
def test_neither_help_nor_scanning_waits_for_pandas_or_torch(words: list[str]) -> None:
    program = (
        f"import sys\nfrom lungsight.cli import app\ntry:\n    app({words!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pandas', 'scipy', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
