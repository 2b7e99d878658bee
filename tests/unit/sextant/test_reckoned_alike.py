"""ccxt changes what a thread rounds by; a daemon beside it reckons as its audit does without it."""

from contextvars import copy_context
from decimal import Context, Decimal, getcontext, setcontext

from ccxt.base.decimal_to_precision import DECIMAL_PLACES, ROUND, decimal_to_precision

from data.arithmetic import reckon_alike
from data.clock import ManualClock
from sextant import wiring
from sextant.auditor import Made, NothingGoesOut
from tests.builders_passive import some_settings
from tests.builders_venue import NOON

TIE = Decimal(10**28 + 1)  # half of it has 29 digits, of which the last is a five


def a_number_is_written_down():
    decimal_to_precision("0.015", ROUND, 2, DECIMAL_PLACES)


def terms():
    context = getcontext()
    return context.prec, context.rounding, context.traps, context.Emin, context.Emax


def test_a_daemon_beside_ccxt_and_its_audit_come_to_the_same_digits(tmp_path):
    settings = some_settings(tmp_path)

    def half(*, with_ccxt):
        setcontext(Context())  # as Python begins
        venue = NothingGoesOut(attaches_stops=False)
        wiring.engine(settings, venue, Made(), ManualClock(NOON))
        before = TIE / 2
        if with_ccxt:
            a_number_is_written_down()
        return before, TIE / 2

    daemon = copy_context().run(half, with_ccxt=True)
    audit = copy_context().run(half, with_ccxt=False)
    assert daemon == audit
    assert len(set(daemon)) == 1


def test_ccxt_leaves_all_as_it_is():
    def changed():
        reckon_alike()
        before = terms()
        a_number_is_written_down()
        return before, terms()

    before, after = copy_context().run(changed)
    assert before == after
