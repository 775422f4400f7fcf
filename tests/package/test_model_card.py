import yaml

from lungsight import RESEARCH_ONLY
from lungsight.package import TrainingSource
from lungsight.package.markdown import cell, table
from lungsight.package.model_card import model_card
from tiny_package import describe


def test_the_front_matter_is_yaml_and_claims_no_licence() -> None:
    _, front, body = model_card(describe()).split("---\n", 2)
    stated = yaml.safe_load(front)
    assert stated["license"] == "unknown"
    assert stated["pipeline_tag"] == "image-classification"
    assert RESEARCH_ONLY in body


def test_the_card_says_what_the_description_knows() -> None:
    card = model_card(describe())
    for text in ("Temperature 1.500, fitted on 30", "| north | 60 | 50 |", "Split by patient.", "Not shown here"):
        assert text in card


def test_a_split_by_image_is_said_to_flatter() -> None:
    assert "flatter" in model_card(describe(split_unit="image"))
    assert "flatter" not in model_card(describe(split_unit="patient"))


def test_a_source_cannot_break_out_of_its_cell() -> None:
    odd = TrainingSource(name="a|b\n\n# Safe for patients", images=1, patients=1, labels={})
    card = model_card(describe(sources=(odd,)))
    assert "\n# Safe" not in card
    assert "| a\\|b # Safe for patients | 1 |" in card


def test_a_table_has_as_many_cells_in_every_row() -> None:
    lines = list(table(("a", "b"), [(1, "x|y"), (None, "")]))
    assert lines == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |", "| None |  |"]
    assert cell(" two\n lines ") == "two lines"
