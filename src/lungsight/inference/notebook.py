"""A finding in a notebook: the image, the result, and what it rests on."""

from __future__ import annotations

from html import escape

from lungsight import RESEARCH_ONLY
from lungsight._text import as_words, percent
from lungsight.inference.finding import Finding
from lungsight.rendering import data_uri, small_jpeg


def as_html(finding: Finding) -> str:
    """A fragment of HTML that needs nothing else: tens of kilobytes, whatever the size of the radiograph."""
    radiograph = finding.radiograph
    picture = "" if radiograph is None else f'<img src="{data_uri(small_jpeg(radiograph))}" width="320" alt="">'
    shares = "".join(f"<li>{escape(as_words(name))}: {percent(p)}</li>" for name, p in finding.probabilities.items())
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in (*finding.reasons, *finding.warnings))
    result = escape(as_words(finding.decision or finding.status))
    return (
        f'<div style="display:flex;gap:1em">{picture}<div><p>{escape(finding.file)}</p><p><b>{result}</b></p>'
        f"<ul>{shares}</ul>{sentences}<p><i>{RESEARCH_ONLY}</i></p></div></div>"
    )
