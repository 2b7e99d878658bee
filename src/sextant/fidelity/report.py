"""What was found, as tables for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from sextant.fidelity.probes import Plan
from sextant.fidelity.scores import LimitScore, MarketScore

KNOWN: Final = (
    "What stood at the best levels of each side whenever a book was recorded, and every recorded "
    "trade with its taker's side, by the clock of whoever received them.",
    "A market order is held against the first book recorded after its real arrival, which no rule "
    "has seen.",
    "A limit order is held against two bounds. At least: nobody ahead of it cancels, and only "
    "trades at its price or beyond fill it. At most: each fall of its level was of orders ahead, "
    "and whoever offers at its price or better trades with it.",
)
ASSUMED: Final = (
    "The real latency of a probe is drawn from the span above; it covers both ways, the order's "
    "and that of the news. The recording holds no order of ours.",
    "Nobody answers a probe: no level is withdrawn or refilled for it, and what it takes is not "
    "missing afterwards. A large order would do worse than 'realised'.",
    "Hidden orders count only as far as their trades were recorded.",
    "The bounds and the queue read the same trades: that the queue lies between them says that it "
    "is consistent, not that it is exact. How far they are apart cannot be known from here.",
)

_LARGE: Final = 10  # basis points, from which on one decimal is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was played."""

    files: dict[str, str]  # SHA-256 by name
    venue: str
    symbol: str
    first: datetime
    last: datetime
    depth: int  # levels of a side that were kept
    books: int  # that paper's feed is told
    books_known: int  # with those known from best prices alone
    trades: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """Everything that was found; times to live and latencies are in seconds in the JSON."""

    recording: Recording
    plan: Plan
    cancelled_ahead: Decimal  # `QueueTerms`
    market: Sequence[MarketScore]
    limit: Sequence[LimitScore]
    without_room: int  # limit probes that found none inside the spread, or no third level
    known: Sequence[str] = KNOWN
    assumed: Sequence[str] = ASSUMED


def fidelity_json(found: Fidelity) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z
    return orjson.dumps(found, default=_plain, option=options).decode()


def fidelity_tables(found: Fidelity) -> RenderableType:
    """For a terminal, 80 columns wide or more; nothing in it is cut."""
    parts: list[RenderableType] = [
        Text(line) for line in (_recorded(found.recording), _planned(found.plan))
    ]
    parts += [_market_table(found.market), _limit_table(found.limit)]
    if found.without_room:
        parts.append(Text(f"{found.without_room} limit probes found no room where they were meant"))
    for heading, sentences in (("Known", found.known), ("Assumed", found.assumed)):
        parts.append(Text(heading, style="bold"))
        parts.extend(Text(f"- {sentence}") for sentence in sentences)
    return Group(*parts)


def _plain(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def _recorded(recording: Recording) -> str:
    return (
        f"{recording.venue} {recording.symbol}, received {recording.first:%Y-%m-%d %H:%M:%S} to "
        f"{recording.last:%H:%M:%S}: {recording.books:,} books of {recording.depth} levels, "
        f"{recording.books_known:,} with those known from best prices, {recording.trades:,} trades"
    )


def _planned(plan: Plan) -> str:
    least, most = plan.latency / plan.latency_spread, plan.latency * plan.latency_spread
    return (
        f"{plan.each} probes of each kind, seed {plan.seed}; latency {_ms(plan.latency)} to the "
        f"rules, {_ms(least)} to {_ms(most)} in truth; limit orders live "
        f"{plan.lifetime.total_seconds():g} s"
    )


def _market_table(scores: Sequence[MarketScore]) -> Table:
    numbers = ("n", "slip", "real", "error", "p50", "p95", "filled", "real")
    table = _table("Market orders: slippage in bps, its error, and the share filled", numbers)
    group = None
    for score in scores:
        if score.group != group:
            group = score.group
            table.add_row(Text(group, style="bold"))
        bps = (score.predicted_bps, score.realised_bps, score.mean_error_bps)
        table.add_row(
            f"  {score.rule}",
            str(score.probes),
            *map(_bps, (*bps, score.p50_error_bps, score.p95_error_bps)),
            *map(_share, (score.predicted_fill, score.realised_fill)),
        )
    return table


def _limit_table(scores: Sequence[LimitScore]) -> Table:
    numbers = ("n", "filled", "at least", "at most", "false", "missed", "sure")
    table = _table("Limit orders: the share filled, and what it can have been", numbers)
    group = None
    for score in scores:
        if score.group != group:
            group = score.group
            table.add_row(Text(group, style="bold"))
        table.add_row(
            f"  {score.rule}",
            str(score.probes),
            *map(_share, (score.predicted_fill, score.least_fill, score.most_fill)),
            *map(str, (score.false_fills, score.missed_fills, score.certain)),
        )
    return table


def _table(title: str, numbers: Sequence[str]) -> Table:
    return Table(
        Column("rule", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _bps(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) < _LARGE else f"{value:.1f}"


def _share(value: float | None) -> str:
    if value is None:
        return "-"
    return "100%" if value == 1 else f"{value:.1%}"


def _ms(delay: timedelta) -> str:
    return f"{delay / timedelta(milliseconds=1):g} ms"
