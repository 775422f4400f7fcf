"""The public names: all there, typed for editors, and loaded only when they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lungsight
from lungsight import errors
from lungsight.api import evaluate
from lungsight.evaluation.evaluate import Settings
from tiny_package import write_tiny

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "python.md"


def test_every_public_name_is_found_and_listed() -> None:
    assert set(lungsight.__all__) <= set(dir(lungsight))
    for name in lungsight.__all__:
        assert getattr(lungsight, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Scaner'"):
        lungsight.Scaner  # noqa: B018


def test_editors_see_what_a_program_gets() -> None:
    """Names that are imported for type checkers only are those that are loaded lazily."""
    tree = ast.parse(Path(lungsight.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(typed) == set(lungsight.__all__) - {"RESEARCH_ONLY", "__version__"}
    for name, module in typed.items():
        assert lungsight._MODULES.get(name, "lungsight.errors") == module
    assert Path(lungsight.__file__).with_name("py.typed").is_file()


def test_every_error_is_public_and_on_the_page() -> None:
    own = {name: one for name, one in vars(errors).items() if isinstance(one, type)}
    page = PAGE.read_text("utf-8")
    for name, error in own.items():
        assert name in lungsight.__all__
        rows = [row.split("|") for row in page.splitlines() if row.startswith(f"| `{name}` |")]
        assert [int(row[3]) for row in rows] == [error.exit_status]


def test_the_import_loads_nothing_heavy() -> None:
    program = "import sys, lungsight; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"numpy", "torch", "pandas", "onnxruntime", "pydantic", "PIL"} & set(loaded)


def test_a_report_is_never_written_into_the_package(tmp_path: Path) -> None:
    write_tiny(tmp_path / "package")
    with pytest.raises(errors.PackageError, match="is inside the package"):
        evaluate(tmp_path / "package", "none.csv", tmp_path / "package" / "report", Settings())
