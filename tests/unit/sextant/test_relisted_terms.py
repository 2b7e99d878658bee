"""A venue's new terms reach everybody who goes by them."""

from dataclasses import replace
from decimal import Decimal

from data.instrument import Quantity
from execution.relisted import Relisted
from tests.builders_passive import a_floor
from tests.builders_venue import BTC


async def test_new_terms_reach_the_books_the_desks_and_the_scorecard(tmp_path):
    floor = await a_floor(tmp_path)
    session, book = floor.session, floor.session.book
    coarser = replace(book.instruments[BTC], lot=Decimal("0.5"), min_quantity=Quantity(Decimal(1)))
    listed = Relisted(at=floor.clock.now(), instruments=(coarser,), taker_fee=Decimal("0.0123"))
    session.relist(listed)
    assert book.instruments[BTC] == coarser
    assert book.limits.taker_fee == listed.taker_fee
    verdicts = session.scorecard.verdicts
    assert verdicts.acting.fee == verdicts.shadow.fee == 0.0123
    now = floor.clock.now()
    heard = session._outside.heard(BTC, now)
    seen = floor.desk.look(BTC, book.account(now), now=now, heard=heard)
    assert seen.instrument == coarser
