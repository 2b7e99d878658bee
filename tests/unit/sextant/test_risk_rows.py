"""Every row and every input of the rule book does what the book says; docs/risk-rules.md names
these tests by their ids."""

import pytest

from tests.cases_risk_rows import HOW, INPUTS, OTHERS


@pytest.mark.req("S0-19", "S1-121")
@pytest.mark.parametrize(("info", "name", "way"), INPUTS.values(), ids=INPUTS)
def test_an_input_that_cannot_be_read(info, name, way):
    HOW[way](info, name)


@pytest.mark.parametrize("proof", OTHERS.values(), ids=OTHERS)
def test_a_row_does_what_it_says(proof):
    proof()
