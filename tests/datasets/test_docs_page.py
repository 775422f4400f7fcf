from __future__ import annotations

from lungsight.datasets.docs_page import catalogue
from lungsight.datasets.manifest import COLUMNS
from lungsight.datasets.registry import COLLECTIONS


def test_the_page_holds_every_collection_and_column() -> None:
    page = catalogue()
    for collection in COLLECTIONS.values():
        assert f"\n## `{collection.name}`\n" in page
        assert all(f"    - {trap}\n" in page for trap in collection.traps)
        assert all(f"<{remote.url}>" in page for remote in collection.downloads)
    for column in COLUMNS.values():
        assert f"\n| `{column.name}` |" in page
