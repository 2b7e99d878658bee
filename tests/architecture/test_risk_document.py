"""The page of the rule book is what the book says, and every test that it names exists."""

import re

import pytest

from risk import rules
from risk.rulebook import BOOK, Kind
from sextant import risk_document
from tests.cases_risk_rows import INPUTS, OTHERS

ROOT = risk_document.PROJECT


def test_the_page_is_the_one_that_the_book_makes():
    page = risk_document.PAGE.read_text(encoding="utf-8")
    assert page == risk_document.document(), "run `python -m sextant.risk_document`"


@pytest.mark.parametrize("info", BOOK, ids=lambda info: info.name)
def test_every_rule_and_every_input_is_on_the_page(info):
    page = risk_document.PAGE.read_text(encoding="utf-8")
    assert f"| `{info.name}` | {info.kind} |" in page
    for name, way in info.inputs.items():
        assert f"| `{info.name}` | `{name}` | {way} |" in page


def test_no_rule_of_the_code_is_missing():
    page = risk_document.PAGE.read_text(encoding="utf-8")
    assert all(f"| `{rule.__name__}` | rule |" in page for rule in rules.RULES)


def test_every_test_that_the_page_names_exists():
    """Its file has the function, and its cases have the id."""
    ids = {
        risk_document.AT_ITS_LIMIT: {rule.__name__ for rule in rules.RULES},
        risk_document.DOES_WHAT_IT_SAYS: set(OTHERS),
        risk_document.UNREADABLE: set(INPUTS),
    }
    known = {f"{suite}[{name}]" for suite, names in ids.items() for name in names}
    named = {risk_document.proof_of(info) for info in BOOK}
    named |= {risk_document.proof_of_input(info, n) for info in BOOK for n in info.inputs}
    assert named == known
    for suite in ids:
        file, _, function = suite.partition("::")
        assert re.search(rf"^def {function}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_what_is_proven_is_all_that_the_book_has():
    assert set(OTHERS) == {info.name for info in BOOK if info.kind is not Kind.RULE}
