"""Which of a model's classes the labels of a manifest belong to, and which labels nobody may guess at."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from lungsight._text import shortened
from lungsight.datasets.spellings import NOT, looks_like, same_spelling, says_nothing, spelling, words
from lungsight.errors import ManifestError, printable

#: Labels that ``*`` never takes: nobody said what these images show.
NO_DIAGNOSIS = ("unlabelled", "indeterminate", "atypical")
#: Labels of lungsight's own readers that say what an image shows.
DIAGNOSES = ("covid19", "other_pneumonia", "tuberculosis", "no_pneumonia")
#: Labels that say yes, or no, but not to what.
_YES = frozenset(
    (
        "+",
        "1",
        "yes",
        "y",
        "true",
        "pos",
        "case",
        "cases",
        "detected",
        "reactive",
        "sick",
        "ill",
        "infected",
        "ja",
        "oui",
    )
)
_NO = frozenset(
    ("0", "no", "n", "false", "neg", "free", "healthy", "normal", "control", "controls", "nein", "non", "notdetected")
)
#: What the commonest labels of others would be called here.
_USUAL = {"normal": "no_pneumonia", "healthy": "no_pneumonia", "nofinding": "no_pneumonia", "tb": "tuberculosis"}
_USUAL |= dict.fromkeys(("pneumonia", "viralpneumonia", "bacterialpneumonia", "lungopacity"), "other_pneumonia")
_SHOWN = 8


def classes_of(options: Sequence[str]) -> dict[str, list[str]] | None:
    """The labels of each class, from options such as ``covid19=covid19`` and ``other=tuberculosis,no_pneumonia`` or
    ``other=*``; a class may be given several times. None where there are no options. Raises InvalidManifest."""
    classes: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for option in options:
        name, equals, listed = (part.strip() for part in option.partition("="))
        labels = [label.strip() for label in listed.split(",") if label.strip()]
        if not (name and equals and labels):
            raise ManifestError(f"--class {option}", "names no class and label", "write --class CLASS=LABEL")
        for label in labels:
            if owner.setdefault(label, name) != name:
                problem = (
                    f"gives {printable(label)} to {printable(name)}, and {printable(owner[label])} has it already"
                )
                raise ManifestError(f"--class {option}", problem, "give each label to one class")
        classes.setdefault(name, []).extend(labels)
    return classes or None


def labels_of(classes: Mapping[str, Sequence[str]], present: Iterable[str]) -> dict[str, str]:
    """The class of each label in ``present``, by a recipe's ``classes``; labels of no class are missing from the
    answer.

    A label is that of a class which names it, or is named so, whatever its case and punctuation. ``*`` takes the
    other diagnoses, but none that looks like a label of another class, and none that only says yes or no.
    ``not_<class>`` is of the other one of two classes, and of none of several."""
    return {label: name for label in present if (name := _class_of(label, classes))}


def _class_of(label: str, classes: Mapping[str, Sequence[str]]) -> str:
    named = {known: name for name, labels in classes.items() for known in labels if known != "*"}
    if (known := same_spelling(label, named)) is not None:
        return named[known]
    if (name := same_spelling(label, classes)) is not None:
        return name
    rest = _rest(classes)
    if denied_by(label, [name for name in classes if name != rest]):
        return rest if len(classes) == 2 else ""
    guessed = label in NO_DIAGNOSIS or says_nothing(label) or _mistakable(label, classes)
    return "" if guessed else rest


def _rest(classes: Mapping[str, Sequence[str]]) -> str:
    """The class that takes the labels no other class names; empty where none does."""
    return next((name for name, labels in classes.items() if "*" in labels), "")


def denied_by(label: str, names: Iterable[str]) -> str | None:
    """Which of ``names`` the label says an image isn't: ``not_covid19``; None where it says no such thing."""
    return next((name for name in names if spelling(NOT + name) == spelling(label)), None)


def _mistakable(label: str, classes: Mapping[str, Sequence[str]]) -> bool:
    """Whether somebody may have meant another class than that of ``*``."""
    rest = _rest(classes)
    named = [known for name, labels in classes.items() if name != rest for known in (name, *labels) if known != "*"]
    if any(_resembles(label, known) for known in named):
        return True
    if same_spelling(label, DIAGNOSES):
        return False
    return _says_yes(label) or (_says_no(label) and any(_says_no(known) for known in named))


def _resembles(label: str, known: str) -> bool:
    """As :func:`looks_like`; of two labels of lungsight's own neither is meant for the other."""
    ours = [same_spelling(one, DIAGNOSES) for one in (label, known)]
    return ours[0] == ours[1] if all(ours) else looks_like(label, known)


def _says_yes(label: str) -> bool:
    said = words(label)
    return spelling(label) in _YES or "+" in said or any(w == "pos" or w.startswith("posit") for w in said)


def _says_no(label: str) -> bool:
    said = words(label)
    denied = any(word in ("no", "not", "non", "neg", "without") or word.startswith("negat") for word in said)
    return denied or spelling(label) in _NO


def doubtful_labels(
    classes: Mapping[str, Sequence[str]], present: Iterable[str], target: str, also: Iterable[str] = ()
) -> list[str]:
    """Labels of no class that may mean the target: nobody may leave them out, or count them against it, unasked.
    ``also`` are labels that somebody answers for."""
    answered = {*labels_of(classes, present), *also, *NO_DIAGNOSIS}
    spelt = (target, *(label for label in classes.get(target, ()) if label != "*"))
    return [
        label
        for label in present
        if label not in answered and not says_nothing(label) and not denied_by(label, (target,))
        if any(_resembles(label, known) for known in spelt) or (_rest(classes) and _mistakable(label, classes))
    ]


def refuse_doubtful(
    name: str, counts: Mapping[str, int], classes: Mapping[str, Sequence[str]], target: str, also: Iterable[str] = ()
) -> None:
    """Raise InvalidManifest, with the options to type, where labels may mean the target and no class names them.
    ``counts`` has the images of each label."""
    doubtful = doubtful_labels(classes, counts, target, also)
    if not doubtful:
        return
    found = counted({label: counts[label] for label in doubtful})
    problem = f"nobody says whether these labels mean {printable(target)}: {found}"
    raise ManifestError(name, problem, f"say what they mean: {options_for(doubtful, classes, target)}")


def homeless_labels(name: str, counts: Mapping[str, int], classes: Mapping[str, Sequence[str]], target: str) -> str:
    """A sentence about the labels of no class, with their images and the options that would give them one; empty
    where there are none."""
    placed = labels_of(classes, counts)
    left = {label: n for label, n in counts.items() if label not in placed and denied_by(label, (target,)) is None}
    unknown = {label: n for label, n in left.items() if label not in NO_DIAGNOSIS}
    if not left:
        return ""
    hint = f" If they are: {options_for(unknown, classes, target)}." if unknown else ""
    wanted = f"{wanted_labels(classes)}; {_denial(target)}"
    return f"{name}: labels of no class are left out: {counted(left)}. The classes: {wanted}.{hint}"


def no_label_known(
    name: str, counts: Mapping[str, int], classes: Mapping[str, Sequence[str]], target: str
) -> ManifestError:
    """The fault of a table none of whose labels is of a class."""
    problem = f"no label is known. Found: {counted(counts)}. Wanted: {wanted_labels(classes)}; {_denial(target)}"
    return ManifestError(name, problem, f"say what they mean: {options_for(counts, classes, target)}")


def wanted_labels(classes: Mapping[str, Sequence[str]]) -> str:
    """The classes in words, with their labels where these are called otherwise."""
    return ", ".join(_in_words(name, labels) for name, labels in classes.items())


def _denial(target: str) -> str:
    return f"{printable(NOT + target)} for images of which no more is known"


def _in_words(name: str, labels: Sequence[str]) -> str:
    others = ["any other diagnosis" if label == "*" else printable(label) for label in labels if label != name]
    return f"{printable(name)} ({', '.join(others)})" if others else printable(name)


def counted(counts: Mapping[str, int]) -> str:
    """Labels with the number of their images, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return shortened([f"'{printable(label)}' ({n:,})" for label, n in ordered], _SHOWN)


def options_for(labels: Iterable[str], classes: Mapping[str, Sequence[str]], target: str) -> str:
    """The options that map each label, as a shell takes them; where its meaning is anybody's guess, ``LABEL``."""
    ordered = [label for label in labels if label not in NO_DIAGNOSIS]
    shown = [f"--label {shlex.quote(f'{label}={_guess(label, classes, target)}')}" for label in ordered[:_SHOWN]]
    return printable(" ".join(shown)) + (" …" if len(ordered) > _SHOWN else "")


def _guess(label: str, classes: Mapping[str, Sequence[str]], target: str) -> str:
    usual = _USUAL.get(spelling(label), "")
    if usual and usual in labels_of(classes, [usual]):
        return usual
    if _says_no(label):
        return NOT + target
    return target if looks_like(label, target) or _says_yes(label) else "LABEL"
