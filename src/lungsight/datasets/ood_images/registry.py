"""Every family of decoys, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from lungsight.datasets.ood_images import broken, documents, other_parts, pictures, slices
from lungsight.datasets.ood_images.found import found_families
from lungsight.datasets.ood_images.kinds import Family, Kind

_DRAWN = (
    Family("text page", Kind.DOCUMENT, "drawn", documents.text_page),
    Family("plot", Kind.DOCUMENT, "drawn", documents.plot),
    Family("screenshot", Kind.DOCUMENT, "broken", documents.screenshot),
    Family("slide", Kind.DOCUMENT, "broken", documents.slide),
    Family("several films", Kind.DOCUMENT, "broken", documents.several_films),
    Family("drawing", Kind.DOCUMENT, "drawn", documents.drawing),
    Family("mask", Kind.DOCUMENT, "broken", documents.mask),
    Family("dead leaves", Kind.PICTURE, "drawn", pictures.dead_leaves),
    Family("landscape", Kind.PICTURE, "drawn", pictures.landscape),
    Family("face", Kind.PICTURE, "drawn", pictures.face),
    Family("texture", Kind.PICTURE, "drawn", pictures.texture),
    Family("photographed film", Kind.PICTURE, "broken", pictures.photographed_film),
    Family("hand", Kind.OTHER_PART, "drawn", other_parts.hand),
    Family("limb", Kind.OTHER_PART, "drawn", other_parts.limb),
    Family("foot", Kind.OTHER_PART, "drawn", other_parts.foot),
    Family("skull", Kind.OTHER_PART, "drawn", other_parts.skull),
    Family("abdomen", Kind.OTHER_PART, "drawn", other_parts.abdomen),
    Family("spine", Kind.OTHER_PART, "drawn", other_parts.spine),
    Family("breast", Kind.OTHER_PART, "drawn", other_parts.breast),
    Family("teeth", Kind.OTHER_PART, "drawn", other_parts.teeth),
    Family("trunk CT", Kind.SLICE, "drawn", slices.trunk_ct),
    Family("head", Kind.SLICE, "drawn", slices.head),
    Family("joint", Kind.SLICE, "drawn", slices.joint),
    Family("ultrasound", Kind.SLICE, "drawn", slices.ultrasound),
    Family("cropped", Kind.UNUSABLE, "broken", broken.cropped),
    Family("hidden", Kind.UNUSABLE, "broken", broken.hidden),
    Family("blurred", Kind.UNUSABLE, "broken", broken.blurred),
    Family("noisy", Kind.UNUSABLE, "broken", broken.noisy),
    Family("burnt out", Kind.UNUSABLE, "broken", broken.burnt_out),
    Family("shuffled", Kind.UNUSABLE, "broken", broken.shuffled),
    Family("blank", Kind.UNUSABLE, "drawn", broken.blank),
)


@cache
def families() -> Mapping[str, Family]:
    """All families; of sample images those whose libraries are installed."""
    found = [Family(family.name, family.kind, "found", family.draw) for family in found_families()]
    return MappingProxyType({family.name: family for family in (*_DRAWN, *found)})
