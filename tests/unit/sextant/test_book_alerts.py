"""A person is told what keeps entries out: books that do not agree, once it lasts."""

import pytest

from execution.difference import Difference, DifferenceKind, Reconciliation
from sextant.alerts import Alert, AlertKind
from tests.builders_care import an_empty_house


def found(house, *kinds):
    differences = tuple(
        Difference(kind=kind, subject="BTC", ours="1", theirs="2") for kind in kinds
    )
    return Reconciliation(at=house.clock.now(), differences=differences, fills_seen=0)


@pytest.mark.parametrize(
    ("kind", "times", "told"),
    [
        pytest.param(DifferenceKind.BALANCE, 1, 1, id="a balance, at once"),
        pytest.param(DifferenceKind.BALANCE, 3, 1, id="once"),
        pytest.param(DifferenceKind.UNRESOLVED, 1, 0, id="an answer may yet come"),
        pytest.param(DifferenceKind.UNRESOLVED, 2, 1, id="it has not come"),
        pytest.param(DifferenceKind.MISSED_FILL, 2, 0, id="what was put right"),
        pytest.param(DifferenceKind.FOREIGN_ORDER, 2, 0, id="what is not ours"),
    ],
)
async def test_books_that_do_not_agree_are_told(kind, times, told):
    house = await an_empty_house()
    for _ in range(times):
        house.book.engine.conclude(found(house, kind))
    alerts = house.told(Alert)
    assert [alert.kind for alert in alerts] == [AlertKind.BOOKS] * told
    assert all("1 here, 2 at the venue" in alert.text for alert in alerts)
