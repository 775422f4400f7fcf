"""The pages of docs/reference that the code itself writes. Run it after a change: `python docs/generate.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from lungsight import RESEARCH_ONLY
from lungsight.cli import app
from lungsight.cli.root import COMMANDS
from lungsight.components.preprocessing import Preprocessing
from lungsight.datasets.docs_page import catalogue
from lungsight.datasets.label_mapping import NO_DIAGNOSIS
from lungsight.datasets.manifest import COLUMNS, LABELS
from lungsight.evaluation.audits.audit import Need
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.package.description import PackageDescription
from lungsight.room.application import description
from lungsight.statistics.metrics import METRICS
from lungsight.training.augmentation import Augmentation
from lungsight.training.recipe import Recipe, built_in_recipes

REFERENCE = Path(__file__).parent / "reference"
_MADE_BY = "This page is made by `python docs/generate.py`."

Schema = Mapping[str, Any]
Lines = Iterator[str]


_PARTS_OF_RECIPES = (
    "split",
    "select",
    "sampling",
    "conditional_loss",
    "guidance",
    "weight_averaging",
    "augmentation",
    "learning_rate_search",
    "decision",
    "familiarity",
    "lung_fields",
    "gate",
    "stages",
)


def recipes() -> Lines:
    yield from _opening("Recipes", "A recipe is a TOML file that says everything about a training run.\n")
    yield "| recipe | what it is |\n| --- | --- |"
    yield from (f"| `{name}` | {text} |" for name, text in built_in_recipes().items())
    yield "\nAny key can be overridden: `--set image_size=512`, `--set stages.0.epochs=2`,"
    yield "`--set decision.inconclusive_below=0.7`. An unknown key, or a value out of range, is refused by name"
    yield "before anything is read."
    yield "The run's folder keeps the recipe with every default written out (`recipe.toml`)."
    schema = Recipe.model_json_schema()
    yield from _section("Top level", schema, "Recipe", _attributes(Preprocessing))
    for part in _PARTS_OF_RECIPES:
        name = _reference(schema["properties"][part])
        heading = f"`[[{part}]]`, and `[[test]]`" if part == "select" else f"`[{part}]`"
        heading = "`[[stages]]`" if part == "stages" else heading
        attributes = _attributes(Augmentation) if name == "Augmentation" else {}
        yield from _section(heading, schema["$defs"][name], name, attributes)
    yield from _section("`[lung_fields.augmentation]`", schema["$defs"]["LungAugmentation"], "LungAugmentation", {})


def package_description() -> Lines:
    yield from _opening("package.json", "The keys of a model package's `package.json`; [the package](package.md).")
    schema = PackageDescription.model_json_schema()
    yield from _section("Top level", schema, "PackageDescription", {})
    for part in ("preprocessing", "calibration", "decision", "lung_fields", "gate", "familiarity", "sources"):
        name = _reference(schema["properties"][part])
        attributes = _attributes(Preprocessing) if name == "Preprocessing" else {}
        yield from _section(f"`{part}`", schema["$defs"][name], name, attributes)


_WORDS_OF_A_TABLE = """\
`not_covid19` (`not_` before any class) says only what an image isn't, as a negative RT-PCR does: it counts
against the class in a test, and for no class.

Case, punctuation and accents don't tell labels apart: `COVID-19` is `covid19`. A missing label (`nan`, `?`,
empty …) is `unlabelled`. A label that may mean the target and that nobody explained (`covid`, `SARS-CoV-2`,
`positive`) is refused with the options that explain it. One file with two labels, and a column that stands
twice with different values, are refused with their rows.

The table may have commas, semicolons, tabs or bars between its cells; it may be UTF-8, UTF-16 or
Windows-1252. Names of columns may have any case, and spaces for underscores; other names are given with
`--column path=FilePath`, other labels with `--label 'COVID-19 positive=covid19'`."""


def audits() -> Lines:
    yield from _opening("Audits", "Each audit asks one question of the model or of the images it is tested on.\n")
    yield "What each does, and what it can't see: [the audits](../explanation/audits.md). Those with a rule can find"
    yield "a shortcut, which the report states beside the [grade](../explanation/grade.md).\n"
    yield "| audit | asks | needs | rule | `tables/` |\n| --- | --- | --- | --- | --- |"
    for audit in AUDITS:
        needs = ", ".join(need for need in Need if need in audit.needs) or "the predictions"
        rule = "yes" if audit.calls_shortcut else "of its own" if audit.rule else "no"
        question = audit.question.format(target="the target")
        yield f"| {audit.name} | {question} | {needs} | {rule} | `audit_{audit.slug}.csv` |"
    groups = dict.fromkeys(audit.required for audit in AUDITS if audit.required)
    asked = [" or ".join(f"*{audit.name}*" for audit in AUDITS if audit.required == group) for group in groups]
    yield f"\nShortcuts are *not found* only if {' and '.join(asked)} reports so."


def manifest() -> Lines:
    yield from _opening("The manifest", "A table with one row per image: what every collection becomes, and all that")
    yield "training and evaluation read. CSV (UTF-8) or Parquet. Only `path` and `label` must be there."
    yield "\n| column | meaning | values |\n| --- | --- | --- |"
    for column in COLUMNS.values():
        values = "a number" if column.numeric else ", ".join(column.allowed or ("any text",))
        yield f"| `{column.name}` | {'**required**: ' if column.required else ''}{column.meaning} | {values} |"
    yield "\nA recipe says which labels make up a class. The labels of lungsight's own readers are"
    yield f"{', '.join(f'`{label}`' for label in LABELS)}."
    yield f"{', '.join(f'`{label}`' for label in NO_DIAGNOSIS)} are never taken for a class by `*`."
    yield _WORDS_OF_A_TABLE
    yield "\nRows are checked before anything is read. A fault names the rows as a spreadsheet counts them."


def metrics() -> Lines:
    yield from _opening("Metrics", "What the column `metric` of the tables of figures holds, and how it is titled.\n")
    yield "Those over all classes have the scope `all classes`; the others set the class in the column `scope`"
    yield "against the rest, an image counted as called where that class is the most probable. Every figure has an"
    yield "interval from resampling patients; the column `interval` gives its kind: `bca`, or `exact` where every"
    yield "resample of a share or an AUROC gives the same. A figure that the images can't give is empty, and"
    yield "`withheld` says why.\n"
    yield "| metric | title | what it is | over all classes |\n| --- | --- | --- | --- |"
    for metric in METRICS:
        overall = "yes" if metric.group == "overall" else ""
        yield f"| `{metric.name}` | {metric.title} | {_cell(metric.meaning)} | {overall} |"


def room_api() -> Lines:
    api = description()
    yield from _opening("The reading room's API", api["info"]["description"].partition(". ")[2].replace("\n", " "))
    yield "\n[Open the reading room](../how-to/open-the-reading-room.md) has examples. The room serves this"
    yield "description at `/v1/openapi.json`. Every operation may also answer 401 (the room asks for a token)"
    yield "and 421 (it isn't asked under that name)."
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    for name, schema in api["components"]["schemas"].items():
        yield f"\n## {name}\n\n{_cell(schema.get('description', '')).replace('``', '`')}\n"
        if "enum" in schema:
            yield ", ".join(f"`{value}`" for value in schema["enum"])
            continue
        yield "| key | values | meaning |\n| --- | --- | --- |"
        for key, value in schema["properties"].items():
            yield f"| `{key}` | {_cell(_shape(value))} | {_cell(_as_phrase(value.get('description', '') or ' '))} |"


def _operation(title: str, operation: Schema) -> Lines:
    yield f"\n## `{title}`\n\n{operation['description'].replace('``', '`')}\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | in | values |\n| --- | --- | --- |"
        yield from (f"| `{one['name']}` | {one['in']} | {_cell(_shape(one['schema']))} |" for one in parameters)
        yield ""
    if body := operation.get("requestBody"):
        yield f"Takes {_content(body)}."
    good, bad = {}, []
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            good[status] = answer
        elif status not in ("401", "421"):
            bad.append(f"{status}: {answer['description'].rstrip('.')}")
    yield "Gives " + ", or ".join(f"{status}: {_content(answer)}" for status, answer in good.items()) + "."
    yield f"\nErrors: {'; '.join(bad)}." if bad else ""


def _content(message: Schema) -> str:
    kinds = [f"{_shape(one.get('schema', {}))} ({kind})" for kind, one in message.get("content", {}).items()]
    return " or ".join(kinds) or "nothing"


def _shape(value: Schema) -> str:
    """What a value of the API may be."""
    if "$ref" in value:
        name = _reference(value)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_shape(one) for one in value["anyOf"])
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if value.get("format") == "binary":
        return "bytes"
    if value.get("type") == "array":
        return f"list of {_shape(value['items'])}"
    if value.get("type") == "null":
        return "null"
    names = {"string": "text", "boolean": "true or false", "integer": "whole number", "object": "object"}
    kind = str(value.get("type", "object"))
    return f"{names.get(kind, kind)}{_range(value)}"


def commands() -> Lines:
    yield from _opening("Commands", "Exit statuses are [a page of their own](exit-statuses.md).")
    group: Any = typer.main.get_command(app)
    context = group.make_context("lungsight", ["scan"], resilient_parsing=True)
    for name in COMMANDS:
        _, command, _ = group.resolve_command(context, [name])
        if getattr(command, "invoke_without_command", False):
            yield from _command(f"lungsight {name}", command)
        if hasattr(command, "commands"):
            for inner in command.commands.values():
                yield from _command(f"lungsight {name} {inner.name}", inner)
        else:
            yield from _command(f"lungsight {name}", command)


def _command(title: str, command: Any) -> Lines:
    yield f"\n## `{title}`\n"
    yield from _help(command.help or "")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    yield "\n| argument or option | meaning | default |\n| --- | --- | --- |"
    for parameter in arguments:
        name = parameter.metavar or parameter.name.upper()
        yield f"| `{_cell(name)}` | {_cell(_plain(parameter.help))} | required |"
    for option in options:
        names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        yield f"| {names}{_values(option)} | {_cell(_plain(option.help))} | {_default(option)} |"
    yield from _help(command.epilog or "")


def _values(option: Any) -> str:
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f" {', '.join(f'`{choice.value}`' for choice in kind)}"
    return ", repeatable" if option.multiple else ""


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return option.show_default
    if option.secondary_opts:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    return "" if option.default is None or option.is_flag else f"`{option.default}`"


def _help(text: str) -> Lines:
    """Help as Markdown: each example in a line of code."""
    for paragraph in text.split("\n\n"):
        line = _plain(" ".join(paragraph.split()))
        example = re.fullmatch(r"(?:Examples?: ?)?(lungsight .+)", line)
        if example:
            yield f"\n    {example[1]}"
        elif not re.fullmatch(r"Examples?:", line):
            yield f"\n{line}"


def _section(title: str, schema: Schema, name: str, attributes: Mapping[str, str]) -> Lines:
    yield f"\n## {title}\n"
    described = "" if name in ("Recipe", "PackageDescription") else schema.get("description", "")
    yield described.partition("\n\nAttributes:")[0].replace("``", "`") + "\n" if described else ""
    yield "| key | meaning | values | default |\n| --- | --- | --- | --- |"
    required = schema.get("required", ())
    for key, value in schema["properties"].items():
        meaning = value.get("description") or attributes.get(key) or _of_a_part(value, f"{name}.{key}")
        default = "required" if key in required else _written(value.get("default"))
        yield f"| `{key}` | {_cell(_as_phrase(meaning))} | {_cell(_kind(value))} | {default} |"


def _as_phrase(meaning: str) -> str:
    """A field's docstring is a sentence; in a table it stands as a phrase."""
    phrase = meaning.rstrip(".").replace("``", "`")
    return phrase[0].lower() + phrase[1:] if phrase[1:2].islower() else phrase


def _of_a_part(value: Schema, key: str) -> str:
    """A key that holds a table, or a list of them, has a section of its own; any other needs a meaning."""
    if not any(word in value for word in ("$ref", "allOf")) and "$ref" not in value.get("items", {}):
        raise ValueError(f"{key} has no meaning: give the field a docstring")
    return "see below"


def _attributes(model: type) -> dict[str, str]:
    """The meanings in a docstring's list of attributes."""
    _, _, text = (model.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ +(\w+): (.+?)(?=^ +\w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(meaning.split()).rstrip(".").replace("``", "`") for name, meaning in entries}


def _reference(value: Schema) -> str:
    others = value.get("allOf") or value.get("anyOf") or [{}]
    pointer: str = value.get("$ref") or value.get("items", {}).get("$ref") or others[0]["$ref"]
    return pointer.rpartition("/")[2]


def _kind(value: Schema) -> str:
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        return " or ".join(_kind(v) for v in value["anyOf"] if v.get("type") != "null")
    if "prefixItems" in value:
        return "a number, or two"
    if value.get("type") == "array":
        return "list" if "$ref" in value["items"] else f"list of {_plural(_kind(value['items']))}"
    if value.get("type") == "object" or "$ref" in value:
        return "table"
    name = {"string": "text", "boolean": "true or false", "integer": "whole number"}.get(value["type"], value["type"])
    return f"{name}{_range(value)}"


def _plural(kind: str) -> str:
    return "texts" if kind == "text" else kind


def _range(value: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f", {', '.join(bounds)}" if bounds else ""


def _written(default: object) -> str:
    if default in (None, "", [], ()):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "" if isinstance(default, dict) else f"`{default}`"


def _opening(title: str, sentence: str) -> Lines:
    yield f"# {title}\n\n{_MADE_BY} {RESEARCH_ONLY}\n\n{sentence}"


def _plain(text: str) -> str:
    """Without rich's marks."""
    return re.sub(r"\[/?(?:bold|italic)\]", "", text).replace("\\[", "[")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _page(lines: Sequence[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "audits.md": lambda: _page([*audits()]),
    "collections.md": catalogue,
    "commands.md": lambda: _page([*commands()]),
    "manifest.md": lambda: _page([*manifest()]),
    "metrics.md": lambda: _page([*metrics()]),
    "package-json.md": lambda: _page([*package_description()]),
    "reading-room-api.md": lambda: _page([*room_api()]),
    "recipes.md": lambda: _page([*recipes()]),
}


def main() -> None:
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
