"""Every family of out-of-distribution images, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from lungsight.datasets.ood_images import broken, documents, other_parts, pictures, slices
from lungsight.datasets.ood_images.found import found_families
from lungsight.datasets.ood_images.kinds import Family


@cache
def families() -> Mapping[str, Family]:
    """Return all families; of sample images those whose libraries are installed."""
    modules = (documents, pictures, other_parts, slices, broken)
    made = [value for module in modules for value in vars(module).values() if isinstance(value, Family)]
    return MappingProxyType({family.name: family for family in (*made, *found_families())})
