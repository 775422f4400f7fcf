"""Every collection that lungsight reads: the command line and the documentation list from here."""

from __future__ import annotations

from collections.abc import Mapping

from lungsight.datasets.collection import Collection
from lungsight.datasets.collections.class_folders import CLASS_FOLDERS
from lungsight.datasets.collections.covid_ct import COVID_CT
from lungsight.datasets.collections.ieee8023 import IEEE8023
from lungsight.datasets.collections.kermany import KERMANY
from lungsight.datasets.collections.nih import NIH
from lungsight.datasets.collections.sarscov2_ct import SARSCOV2_CT
from lungsight.datasets.collections.shenzhen_montgomery import SHENZHEN_MONTGOMERY
from lungsight.datasets.collections.siim import SIIM
from lungsight.datasets.collections.table import TABLE
from lungsight.errors import CollectionError

COLLECTIONS: Mapping[str, Collection] = {
    collection.name: collection
    for collection in (
        IEEE8023,
        KERMANY,
        NIH,
        SIIM,
        SHENZHEN_MONTGOMERY,
        SARSCOV2_CT,
        COVID_CT,
        CLASS_FOLDERS,
        TABLE,
    )
}


def collection_named(name: str) -> Collection:
    """The collection of that name. Raises InvalidCollection."""
    if name not in COLLECTIONS:
        raise CollectionError(name, "no such collection", f"choose one of {', '.join(COLLECTIONS)}")
    return COLLECTIONS[name]
