"""Which of a model's classes the labels of a manifest belong to, and which labels only a person can assign."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from lungsight._text import shortened
from lungsight.datasets.spellings import NOT, WORDS, is_missing, looks_like, same_spelling, spelling, words
from lungsight.errors import ManifestError, printable

#: Labels that ``*`` never takes: what these images show isn't known.
NO_DIAGNOSIS = ("unlabelled", "indeterminate", "atypical", "covid19_without_sign", "abnormal_without_opacity")
#: Labels of lungsight's own readers that say what an image shows.
DIAGNOSES = ("covid19", "other_pneumonia", "tuberculosis", "no_pneumonia")
_SHOWN = 8


def classes_of(options: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the labels of each class; None where there are no options.

    Args:
        options: such as ``covid19=covid19``, ``other=tuberculosis,no_pneumonia`` or ``other=*``; a class may be
            given several times.

    Raises:
        ManifestError: an option names no class or label, or a label is of two classes.
    """
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
    """Return the class of each label in ``present`` that has one, by a recipe's ``classes``.

    A label is that of a class which names it, or is named so, whatever its case and punctuation. ``*`` takes the
    other diagnoses, but none that looks like a label of another class, and none that only says yes or no.
    ``not_<class>`` is of the other one of two classes, and of none of several.
    """
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
    guessed = label in NO_DIAGNOSIS or is_missing(label) or _is_ambiguous(label, classes)
    return "" if guessed else rest


def _rest(classes: Mapping[str, Sequence[str]]) -> str:
    """The class that takes the labels no other class names; empty where none does."""
    return next((name for name, labels in classes.items() if "*" in labels), "")


def denied_by(label: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that the label denies, as ``not_covid19`` does; None where it denies none."""
    return next((name for name in names if spelling(NOT + name) == spelling(label)), None)


def _is_ambiguous(label: str, classes: Mapping[str, Sequence[str]]) -> bool:
    """Whether another class than that of ``*`` may be meant."""
    rest = _rest(classes)
    named = [known for name, labels in classes.items() if name != rest for known in (name, *labels) if known != "*"]
    if any(_resembles(label, known) for known in named):
        return True
    if same_spelling(label, DIAGNOSES):
        return False
    return _is_positive(label) or (_is_negative(label) and any(_is_negative(known) for known in named))


def _resembles(label: str, known: str) -> bool:
    """As :func:`looks_like`; of two labels of lungsight's own neither is meant for the other."""
    ours = [same_spelling(one, DIAGNOSES) for one in (label, known)]
    return ours[0] == ours[1] if all(ours) else looks_like(label, known)


def _is_positive(label: str) -> bool:
    found = words(label)
    stated = "+" in found or any(word == "pos" or word.startswith("posit") for word in found)
    return stated or spelling(label) in WORDS["positive"]


def _is_negative(label: str) -> bool:
    denied = any(word in ("no", "not", "non", "neg", "without") or word.startswith("negat") for word in words(label))
    return denied or spelling(label) in WORDS["negative"]


def ambiguous_labels(
    classes: Mapping[str, Sequence[str]], present: Iterable[str], target: str, also: Iterable[str] = ()
) -> list[str]:
    """Return labels of no class that may mean the target: only a person may leave them out or count them against it.

    Labels in ``also`` are accounted for elsewhere.
    """
    answered = {*labels_of(classes, present), *also, *NO_DIAGNOSIS}
    spelt = (target, *(label for label in classes.get(target, ()) if label != "*"))
    return [
        label
        for label in present
        if label not in answered and not is_missing(label) and not denied_by(label, (target,))
        if any(_resembles(label, known) for known in spelt) or (_rest(classes) and _is_ambiguous(label, classes))
    ]


def refuse_ambiguous(
    name: str, counts: Mapping[str, int], classes: Mapping[str, Sequence[str]], target: str, also: Iterable[str] = ()
) -> None:
    """Raise ManifestError, with the options to type, where labels may mean the target and no class names them.

    ``counts`` has the images of each label; labels in ``also`` are accounted for elsewhere.
    """
    ambiguous = ambiguous_labels(classes, counts, target, also)
    if not ambiguous:
        return
    found = label_counts({label: counts[label] for label in ambiguous})
    problem = f"it isn't clear whether these labels mean {printable(target)}: {found}"
    raise ManifestError(name, problem, f"say what they mean: {options_for(ambiguous, classes, target)}")


def unmapped_labels(name: str, counts: Mapping[str, int], classes: Mapping[str, Sequence[str]], target: str) -> str:
    """Return a sentence about the labels of no class, with options that give them one; empty without any."""
    placed = labels_of(classes, counts)
    left = {label: n for label, n in counts.items() if label not in placed and denied_by(label, (target,)) is None}
    unknown = {label: n for label, n in left.items() if label not in NO_DIAGNOSIS}
    if not left:
        return ""
    hint = f" If they are: {options_for(unknown, classes, target)}." if unknown else ""
    wanted = f"{wanted_labels(classes)}; {_denial(target)}"
    return f"{name}: labels of no class are left out: {label_counts(left)}. The classes: {wanted}.{hint}"


def no_label_known(
    name: str, counts: Mapping[str, int], classes: Mapping[str, Sequence[str]], target: str
) -> ManifestError:
    """Return the error for a table none of whose labels is of a class."""
    problem = f"no label is known. Found: {label_counts(counts)}. Wanted: {wanted_labels(classes)}; {_denial(target)}"
    return ManifestError(name, problem, f"say what they mean: {options_for(counts, classes, target)}")


def wanted_labels(classes: Mapping[str, Sequence[str]]) -> str:
    """Return the classes as text, with their labels where these are called otherwise."""
    return ", ".join(_with_labels(name, labels) for name, labels in classes.items())


def _denial(target: str) -> str:
    return f"{printable(NOT + target)} for images of which only that is known"


def _with_labels(name: str, labels: Sequence[str]) -> str:
    others = ["any other diagnosis" if label == "*" else printable(label) for label in labels if label != name]
    return f"{printable(name)} ({', '.join(others)})" if others else printable(name)


def label_counts(counts: Mapping[str, int]) -> str:
    """Return labels with the number of their images, the most frequent first: ``'a' (12), 'b' (3) and 2 more``."""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return shortened([f"'{printable(label)}' ({n:,})" for label, n in ordered], _SHOWN)


def options_for(labels: Iterable[str], classes: Mapping[str, Sequence[str]], target: str) -> str:
    """Return the options that map each label, as a shell takes them; ``LABEL`` where its meaning can't be guessed."""
    ordered = [label for label in labels if label not in NO_DIAGNOSIS]
    shown = [f"--label {shlex.quote(f'{label}={_guess(label, classes, target)}')}" for label in ordered[:_SHOWN]]
    return printable(" ".join(shown)) + (" …" if len(ordered) > _SHOWN else "")


def _guess(label: str, classes: Mapping[str, Sequence[str]], target: str) -> str:
    usual = str(WORDS["usual"].get(spelling(label), ""))
    if usual and usual in labels_of(classes, [usual]):
        return usual
    if _is_negative(label):
        return NOT + target
    return target if looks_like(label, target) or _is_positive(label) else "LABEL"
