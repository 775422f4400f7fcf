"""The page of the documentation that lists the collections, made from the registry."""

from __future__ import annotations

from collections.abc import Iterator

from lungsight.datasets.collection import Collection
from lungsight.datasets.manifest import COLUMNS
from lungsight.datasets.registry import COLLECTIONS


def catalogue() -> str:
    """Return every collection, and every column of a manifest, as one page of Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Collections"
    yield ""
    yield "This page is made by `lungsight data list --markdown`."
    for collection in COLLECTIONS.values():
        yield from _section(collection)
    yield "\n## The columns of a manifest\n"
    yield "| column | meaning | values |"
    yield "| --- | --- | --- |"
    for column in COLUMNS.values():
        values = "a number" if column.numeric else ", ".join(column.allowed or ("any text",))
        required = "**required**: " if column.required else ""
        yield f"| `{column.name}` | {required}{column.meaning} | {values} |"


def _section(collection: Collection) -> Iterator[str]:
    yield f"\n## `{collection.name}`\n"
    yield f"{collection.title}.\n"
    if collection.home:
        yield f"- **Home:** <{collection.home}>"
    yield f"- **Licence:** {collection.licence}"
    yield f"- **Labels rest on:** {collection.labels_rest_on}"
    yield f"- **Layout:** {collection.layout.replace('<', '&lt;')}"
    yield f"- **To get it:** {collection.how_to_get}"
    for remote in collection.downloads:
        yield f"- **File:** <{remote.url}>, about {remote.gigabytes:g} GB"
    yield "- **Known traps:**"
    for trap in collection.traps:
        yield f"    - {trap}"
