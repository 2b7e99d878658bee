"""What may happen to a house at an exchange that lies, drawn from a seed before any of it does."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from data.instrument import Side, Symbol
from sextant.rehearsal.faults import Accident
from tests.builders_venue import BTC, XRP

MISCHIEF = {  # what the exchange is like from now on
    "as it should": {},
    "slow to answer": {"answer_delay": timedelta(seconds=8)},
    "too slow to answer": {"answer_delay": timedelta(seconds=25)},
    "refuses": {"refused": 0.5},
    "loses requests": {"lost": 0.4},
    "loses answers": {"unanswered": 0.4},
    "is late": {"late": 0.5, "lateness_delay": timedelta(seconds=25)},
    "tells late": {"event_delay": timedelta(seconds=6)},
    "tells twice": {"duplicated": 0.4},
    "tells in another order": {"reordered": 0.4},
    "tells not all": {"dropped": 0.4},
    "hangs up": {"sockets_closed": 0.3},
    "gives out dead tokens": {"tokens_expired": 0.7, "sockets_closed": 0.2},
    "does all of it": {
        "refused": 0.1, "lost": 0.1, "unanswered": 0.15, "late": 0.1,
        "lateness_delay": timedelta(seconds=20), "answer_delay": timedelta(seconds=1),
        "event_delay": timedelta(seconds=2), "duplicated": 0.1, "reordered": 0.1, "dropped": 0.1,
        "sockets_closed": 0.05, "tokens_expired": 0.1,
    },
}  # fmt: skip
ACCIDENTS = tuple(each for each in Accident if each is not Accident.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens, and for how many seconds of market time the world then goes on."""

    name: str
    args: tuple[object, ...]
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A seed, and what it makes happen."""

    seed: int
    attach: bool  # whether entries take their stops along
    tier: bool  # whether the exchange counts requests
    spot: bool  # whether XRP/USDT is traded without a loan
    patient: bool  # whether an order may arrive when we have long given up on its answer
    steps: tuple[Step, ...]
    venue: str = "kraken"
    foreign: bool = True  # whether others have orders at the account


_NONE = (None,) * 12
_SOON = (0.0, 0.004, 0.006, 0.011, 0.016, 0.021, 0.3)
_ASKED_FIRST = (*_SOON, 0.026, 0.031, 0.036, 0.041, 0.046, 0.051)  # before an order goes out
WAITS = [0.0, 0.004, 0.012, 0.021, 0.3, 1.5, 1.5, 7.0, 7.0, 35.0, 35.0, 130.0, 3700.0]


def _steps(symbols, methods):
    """Weight, and what is chosen from for each argument."""
    return {
        "enter": (
            18, symbols, list(Side), ["market", "market", "market", "at", "near"], [0.3, 1, 2.5],
            [0.006, 0.02], [*_NONE, *ACCIDENTS],
        ),
        "leave": (6, symbols, [0.4, 1], [False, False, True], [*_NONE, *ACCIDENTS]),
        "cancel": (3, range(5), [*_NONE, *ACCIDENTS]),
        "enter_and_crash": (3, symbols, list(Side), _SOON, [0.0, 0.0, 1.0, 15.0]),
        "leave_and_crash": (2, symbols, _SOON, [0.0, 0.0, 1.0, 15.0]),
        "set_off": (14, range(6), [0.3, 0.9, 5]),
        "move": (
            9, symbols, [-0.035, -0.012, -0.004, -0.001, 0.001, 0.004, 0.012, 0.035], [1, 4],
        ),
        "trickle": (5, symbols, [0.05, 0.3, 3]),
        "misbehave": (9, list(MISCHIEF), ["trading", "all"], range(1000)),
        "behave": (3,),
        "mishap": (5, methods, ACCIDENTS, [1, 2, 5]),
        "let_go": (1,),
        "hang_up": (2,),
        "fall_silent": (2, [True, False]),
        "expire_tokens": (1,),
        "venue_cancels": (4, range(6)),
        "restart_exchange": (2, [0.0, 2.0, 20.0, 90.0]),
        "cut_off": (2, [3.0, 15.0, 60.0, 200.0]),
        "crash": (2, [0.0, 1.0, 15.0, 100.0]),
        "flatten": (1,),
        "halt": (0.4,),
        "resume": (5,),
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An exchange as a script sees it; of its two markets, others trade in the second too."""

    symbols: tuple[Symbol, Symbol]
    methods: Mapping[str, tuple[str, ...]]  # those that trade, and all that there are
    more: Mapping[str, tuple[object, ...]] = field(default_factory=dict)  # steps of its own


_KRAKEN = ("AddOrder", "CancelOrder")
_BINANCE = ("POST order", "POST algoOrder", "DELETE order", "DELETE algoOrder")
_HYPERLIQUID = ("exchange",)
_OF_PERPETUALS = {  # weight, and what is chosen from for each argument after the market
    "fund": (3, [-1.5, 0.25, 3]),
    "lag": (4, [0, 4, 20, 50]),
    "lag_orders": (4, [0, 0.2, 1.0]),
    "enter_and_crash": (3, list(Side), _ASKED_FIRST, [0.0, 0.0, 1.0, 15.0]),
    "leave_and_crash": (2, _ASKED_FIRST, [0.0, 0.0, 1.0, 15.0]),
}
PLACES = {
    "kraken": Place(
        symbols=(BTC, XRP),
        methods={
            "trading": _KRAKEN,
            "all": (
                *_KRAKEN, "OpenOrders", "ClosedOrders", "QueryOrders", "TradesHistory",
                "QueryTrades", "Ledgers", "Balance", "OpenPositions", "GetWebSocketsToken",
            ),
        },
    ),
    "binance": Place(
        symbols=(BTC, Symbol("ETH/USDT")),
        methods={
            "trading": _BINANCE,
            "all": (
                *_BINANCE, "GET openOrders", "GET openAlgoOrders", "GET order", "GET algoOrder",
                "GET userTrades", "GET income", "GET account", "POST listenKey", "PUT listenKey",
                "POST countdownCancelAll",
            ),
        },
        more=_OF_PERPETUALS,
    ),
    "hyperliquid": Place(
        symbols=(Symbol("BTC/USDC"), Symbol("ETH/USDC")),
        methods={"trading": _HYPERLIQUID, "all": (*_HYPERLIQUID, "info")},
        more=_OF_PERPETUALS,
    ),
}  # fmt: skip


def script_of(seed: int, steps: int, venue: str = "kraken") -> Script:
    """The script of a seed."""
    rng, place = random.Random(seed), PLACES[venue]
    possible = _steps(place.symbols, place.methods["all"])
    for name, (weight, *choices) in place.more.items():
        possible[name] = (weight, place.symbols, *choices)
    names, weights = list(possible), [each[0] for each in possible.values()]
    return Script(
        seed=seed,
        attach=rng.random() < 0.5,
        tier=rng.random() < 0.5,
        spot=rng.random() < 0.3,
        patient=rng.random() < 0.4,
        steps=tuple(
            Step(
                name=name,
                args=tuple(rng.choice(choices) for choices in possible[name][1:]),
                wait=rng.choices(WAITS, [1] * (len(WAITS) - 1) + [0.1])[0],
            )
            for name in rng.choices(names, weights, k=steps)
        ),
        venue=venue,
        foreign=venue == "kraken" or rng.random() < 0.5,
    )
