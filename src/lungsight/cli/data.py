"""``lungsight data``: list, describe, get, build and check collections of images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lungsight.datasets.collection import Build, BuildOptions, Collection
from lungsight.datasets.manifest import COLUMNS, Manifest
from lungsight.datasets.registry import COLLECTIONS, collection_named
from lungsight.faults import InvalidCollection

app = typer.Typer(no_args_is_help=True, help="List, get, build and check collections of images.")


@app.command("list")
def list_collections() -> None:
    """List the collections that lungsight reads."""
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "what it is", "labels rest on", "to get it"):
        table.add_column(heading, overflow="fold")
    for collection in COLLECTIONS.values():
        how = "lungsight data get" if collection.downloads else "by hand" if collection.home else "yours"
        table.add_row(f"[bold]{collection.name}[/bold]", collection.title, collection.labels_rest_on, how)
    Console().print(table)
