"""Recognise words in a header in any language, spelling and damage, by :file:`header_words.toml`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from importlib import resources
from itertools import product
from typing import NamedTuple

from lungsight.errors import printable

#: Character sets of text in an element for ASCII, which was read as Latin-1.
_CHARACTER_SETS = (
    "utf-8", "iso2022_jp", "iso2022_kr", "gb18030", "euc_kr", "shift_jis", "iso8859_5", "cp1251", "koi8_r",
    "iso8859_2", "cp1250", "iso8859_7", "iso8859_6", "iso8859_8", "cp874",
)  # fmt: skip
#: Letters that keep their shape when accents are removed.
_PLAIN = str.maketrans({"Ł": "L", "Ø": "O", "Đ": "D", "Æ": "AE", "Œ": "OE"})
_LETTERS = ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
#: How many letters of a text may be lost, and how many must be left, to be recognised.
_MOST_LOST = 2
_FEWEST_LEFT = 3
#: Characters of languages that don't separate words by spaces.
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3000-\uffff]")


class ReadWords(NamedTuple):
    """A text for people, and the kinds of the known words in it."""

    text: str
    kinds: frozenset[str] = frozenset()


class Vocabulary:
    """Known words of several kinds.

    Args:
        words: by kind, separated by white space; ``_`` means a space within a word, ``*`` any letters.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        by_kind = {kind: [_folded(word.replace("_", " ")) for word in text.split()] for kind, text in words.items()}
        self._any = _pattern_of([word for of_kind in by_kind.values() for word in of_kind])
        self._kinds = {kind: _pattern_of(of_kind) for kind, of_kind in by_kind.items()}

    @lru_cache(maxsize=1024)  # noqa: B019 - lives as long as the program; a hospital uses the same words again
    def read(self, text: str) -> ReadWords:
        """Read ``text`` in the first character set in which a word of it is known."""
        for reading in _readings(text):
            if kinds := frozenset(kind for whole in _whole(_folded(reading)) for kind in self._found(whole)):
                return ReadWords(_shown(reading), kinds)
        return ReadWords(_shown(next(_readings(text))))

    def _found(self, folded: str) -> Iterator[str]:
        for match in self._any.finditer(folded):
            yield next(kind for kind, pattern in self._kinds.items() if pattern.fullmatch(match[0]))


@cache
def vocabulary(name: str) -> Vocabulary:
    """The vocabulary called ``body_part`` or ``view``."""
    text = (resources.files("lungsight.reading") / "header_words.toml").read_text("utf-8")
    return Vocabulary(tomllib.loads(text)[name])


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in printable(text.strip("\0 ")))


def _readings(text: str) -> Iterator[str]:
    """The text in each character set that it may be written in; UTF-8 first, as other text is rarely valid UTF-8."""
    is_ascii = text.isascii() and "\x1b" not in text
    bytes_of_it = b"" if is_ascii else text.encode("latin-1", "ignore")
    if is_ascii or len(bytes_of_it) != len(text):
        yield text
        return
    for number, character_set in enumerate(_CHARACTER_SETS):
        with suppress(UnicodeDecodeError):
            yield bytes_of_it.decode(character_set)
        if number == 0:
            yield text


def _folded(text: str) -> str:
    """Only letters, in capitals and without accents; one space between words; ``?`` for a lost letter."""
    decomposed = unicodedata.normalize("NFKD", text.upper().translate(_PLAIN))
    bare = "".join(one for one in decomposed if unicodedata.category(one) != "Mn")
    spaced = re.sub(r"[^\w?*]|[\d_]", " ", re.sub("[?\ufffd]+", "?", bare))
    return re.sub(r"(?<!\S)(\S) (?=\S(?!\S))", r"\1", " ".join(spaced.split()))  # P.A. is PA


def _whole(folded: str) -> Iterator[str]:
    """The text with its lost letters filled in, in every way; nothing if too many are lost."""
    *parts, last = folded.split("?")
    if not parts:
        yield folded
    elif len(parts) <= _MOST_LOST and len(folded) - len(parts) >= _FEWEST_LEFT:
        for letters in product(_LETTERS, repeat=len(parts)):
            yield "".join(part + letter for part, letter in zip(parts, letters, strict=True)) + last


def _pattern_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern for any of the words, the longest first; without groups, which would take ten times as long."""
    longest = sorted(words, key=lambda word: -len(word))
    spaced = "|".join(_as_pattern(word) for word in longest if not _UNSPACED.search(word))
    unspaced = "".join("|" + _as_pattern(word) for word in longest if _UNSPACED.search(word))
    return re.compile(rf"(?<!\S)(?:{spaced})(?!\S){unspaced}")


def _as_pattern(folded: str) -> str:
    return re.escape(folded).replace(r"\*", r"\S*").replace(r"\ ", " ?")
