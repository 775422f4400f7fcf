"""The documentation says what the code says: generated pages are fresh, links lead somewhere, recipes named exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
HANDWRITTEN = sorted(
    page for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if "results" not in page.parts
)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("page", GENERATOR.PAGES)
def test_generated_page_is_as_the_code_writes_it(page: str) -> None:
    committed = (ROOT / "docs" / "reference" / page).read_text("utf-8")
    assert committed == GENERATOR.PAGES[page](), f"{page} is stale: run `python docs/generate.py`"


def test_every_recipe_key_has_a_row() -> None:
    page = (ROOT / "docs" / "reference" / "recipes.md").read_text("utf-8")
    schema = GENERATOR.Recipe.model_json_schema()
    parts = [schema, *(schema["$defs"][name] for name in schema["$defs"] if "properties" in schema["$defs"][name])]
    keys = {key for part in parts for key in part["properties"]}
    assert {key for key in keys if f"| `{key}` |" not in page} == set()


@pytest.mark.parametrize("page", HANDWRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", HANDWRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_exist(page: Path) -> None:
    known = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    titles = {tuple(title.split()) for title in re.findall(r"^## `lungsight (.+)`$", known, re.MULTILINE)}
    groups = {title[0] for title in titles if len(title) == 2}
    code = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    called = re.findall(r"^(?:\$ )?lungsight (\S+)(?: (\S+))?", "\n".join(code), re.MULTILINE)
    words = {
        (first, second) if first in groups and not second.startswith("-") else (first,) for first, second in called
    }
    assert words - titles - {("--version",), ("--help",)} == set()


def test_every_source_file_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    package = ROOT / "src" / "lungsight"
    modules = [path for path in package.rglob("*.py") if path.name != "__init__.py"]
    assert [str(path.relative_to(package)) for path in modules if f"`{path.name}`" not in page] == []
