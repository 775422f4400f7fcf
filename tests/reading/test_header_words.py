"""Words of headers in many languages, spelt and damaged in many ways."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lungsight.reading.header_words import vocabulary

_CHEST = (
    "CHEST|CHEST AP|PORT CHEST|PORTCHEST|CHEST_TO_ABDOMEN|CHESTABDPELVIS|CHEST/RIBS|"
    "NECKCHEST|LUNG|LUNGS|THORAX|THORAX^ROUTINE|TORAX|TÓRAX|TÒRAX|Torax|PECHO|PEITO|PETTO|"
    "BRUST|BRUSTKORB|POITRINE|TORACE|CAGE THORACIQUE|POUMONS|BRÖSTKORG|LUNGOR|BORSTKAS|"
    "KLATKA PIERSIOWA|HRUDNÍK|MELLKAS|GÖĞÜS|ГРУДНАЯ КЛЕТКА|ОГК|ΘΩΡΑΚΑΣ|θώρακας|胸部|胸|肺野|흉부|"
    "صدر|ทรวงอก|T.O.R.A.X"
)
CHEST = _CHEST.split("|")
_NOT_CHEST = (
    "RIBCAGE|RIBS|HAND|KNEE|MANO|MÃO|RODILLA|ABDOMEN|ABDÓMEN|HÜFTE|UNTERSCHENKEL|SCHÄDEL|"
    "PIED|ARM|L ARM|PELVIS|FOOT|CSPINE|T-SPINE|T SPINE|THORACIC SPINE|SPINE THORACIC|"
    "BRUSTWIRBELSÄULE|BWS|COLUMNA TORÁCICA|RACHIS THORACIQUE|胸椎|КИСТЬ|手|足部|BREAST|"
    "EXTREMITY|DŁOŃ|ŁOPATKA"
)
NOT_CHEST = _NOT_CHEST.split("|")
UNKNOWN = ["XYZ", "ICU", "WHOLEBODY", "TRUNK", "????", "T??", "ALARM", "SHIPMENT", "SCHLUNGEN", "12", "-"]


def is_chest(text: str) -> bool | None:
    kinds = vocabulary("body_part").read(text).kinds
    return "chest" in kinds and "not_chest" not in kinds if kinds else None


@pytest.mark.parametrize("text", CHEST)
def test_a_chest_in_many_languages(text: str) -> None:
    assert is_chest(text) is True


@pytest.mark.parametrize("text", NOT_CHEST)
def test_another_part_in_many_languages(text: str) -> None:
    assert is_chest(text) is False


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_is_neither(text: str) -> None:
    assert is_chest(text) is None


@pytest.mark.parametrize("text", ["T?RAX", "T??RAX", "TO?RAX", "T�RAX", "T��RAX", "BR?STKORG", "G?G?S", "TOR?X AP"])
def test_lost_letters_are_filled_in(text: str) -> None:
    assert is_chest(text) is True


@given(st.sampled_from(["THORAX", "CHEST", "PECHO", "POITRINE", "HAND", "RODILLA"]), st.integers(0, 7))
def test_any_one_letter_may_be_lost(word: str, place: int) -> None:
    place %= len(word)
    assert is_chest(f"{word[:place]}?{word[place + 1 :]}") is is_chest(word)


@pytest.mark.parametrize(
    ("text", "written_in"),
    [
        ("TÒRAX", "utf-8"),
        ("BRÖSTKORG", "utf-8"),
        ("胸部", "utf-8"),
        ("胸部", "gb18030"),
        ("胸部", "iso2022_jp"),
        ("胸部", "shift_jis"),
        ("흉부", "euc_kr"),
        ("흉부", "iso2022_kr"),
        ("ГРУДНАЯ КЛЕТКА", "utf-8"),
        ("ГРУДНАЯ КЛЕТКА", "iso8859_5"),
        ("ГРУДНАЯ КЛЕТКА", "cp1251"),
        ("ГРУДНАЯ КЛЕТКА", "koi8_r"),
        ("ΘΩΡΑΚΑΣ", "iso8859_7"),
        ("صدر", "iso8859_6"),
    ],
)
def test_any_character_set_that_was_read_as_latin_1(text: str, written_in: str) -> None:
    words = vocabulary("body_part").read(text.encode(written_in).decode("latin-1"))
    assert words == (text, {"chest"})


@given(st.text(max_size=24))
@example("\U00018d09RAO")
def test_no_text_is_too_strange(text: str) -> None:
    for name in ("body_part", "view"):
        words = vocabulary(name).read(text)
        assert words.text.isprintable() or not words.kinds
        assert isinstance(words.kinds, frozenset)
