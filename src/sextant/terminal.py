"""What a person at the terminal sees: the market, the last decision, the risk, the book."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from agents.vote import Abstention, Ballot
from data.account import AccountState
from data.defect import Defect
from data.instrument import Symbol
from execution.dead_man import Guard
from execution.planned_stop import PlannedStop
from risk.breaker import RiskState, TradingState
from risk.intent import Direction
from sextant.cycle import Decision, ruling_in_words
from sextant.evaluation.kept import kept_in_words
from sextant.evaluation.scorecard import Scorecard
from sextant.referrals import in_words
from sextant.session import Session, defect_in_words

_COLOURS = {
    Direction.LONG: "green",
    Direction.SHORT: "red",
    Direction.CLOSE: "yellow",
    Direction.HOLD: "dim",
}
_STAND_IN = "magenta"


def render(
    session: Session,
    *,
    title: str,
    now: datetime,
    model_costs_usd: Decimal,
    guard: Guard | None = None,
) -> RenderableType:
    """The whole view as one renderable; reads the session and changes nothing.

    What an owner looks for first stands first, for a low window cuts the end. One desk of six
    seats and three symbols takes 100 columns and 40 lines.
    """
    account = session.book.account(now)
    card = session.scorecard
    parts: list[RenderableType] = [
        Text(f"{title}   {now:%Y-%m-%d %H:%M:%S} UTC   bar {card.bars:,}", style="bold"),
        _risk(session.book.state),
        *_kill_switch(session, now),
        *_guard(guard),
        *(_unfit(symbol, found) for symbol, found in session.defects.items() if found),
        *(Text(f"waits for consent: {in_words(r)}", style="yellow") for r in session.referrals),
        *_money(card, account, model_costs_usd),
        *_kept(session, account),
        _market(card, account),
        *map(_plan, _held_plans(session, account)),
        *(_desk(desk, decisions) for desk, decisions in _by_desk(session).items()),
    ]
    return Group(*parts)


def _unfit(symbol: Symbol, defects: Sequence[Defect]) -> Text:
    """What is wrong with the data of a symbol, since when, and whether it may be traded on."""
    blocks = any(defect.kind.blocks for defect in defects)
    since = min(defect.since for defect in defects)
    said = "; ".join(map(defect_in_words, defects))
    verdict = "no decisions" if blocks else "still traded on"
    return Text(
        f"data of {symbol} since {since:%H:%M:%S}: {said}: {verdict}",
        style="bold red" if blocks else "yellow",
    )


def _by_desk(session: Session) -> dict[str, list[Decision]]:
    """The newest decision of each desk on each of its symbols."""
    decisions: dict[str, list[Decision]] = {}
    for (desk, _), decision in session.decisions.items():
        decisions.setdefault(desk, []).append(decision)
    return decisions


def _desk(desk: str, decisions: list[Decision]) -> Panel:
    """The newest decision in full, and a sentence on each of the others.

    Of several on the same bar, one with an intent is the one to see.
    """
    newest = max(decisions, key=lambda d: (d.bar_closed_at, d.intent is not None))
    parts: list[RenderableType] = [_heading(newest)]
    if newest.ballots:
        parts.append(_ballots(newest))
    parts.append(Text(_outcome(newest)))
    others = (decision for decision in decisions if decision is not newest)
    parts.extend(Text.assemble(_heading(other), f" {_outcome(other)}") for other in others)
    return Panel(Group(*parts), title=f"desk {desk}", title_align="left")


def _heading(decision: Decision) -> Text:
    return Text(
        f"{decision.symbol} at {decision.bar_closed_at:%H:%M}, {decision.price:,f}, "
        f"{decision.regime}:",
        style="bold",
    )


def _market(card: Scorecard, account: AccountState) -> Table:
    numbers = ("price", "since start", "position", "entry", "value")
    table = Table(
        Column("symbol", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
        box=SIMPLE_HEAD,
        expand=True,
        pad_edge=False,
    )
    for symbol, bars in card.prices.items():
        first, newest = bars.first, bars.newest
        if first is not None and newest is not None:
            change = float(newest.close / first.close) - 1.0
            table.add_row(
                symbol, f"{newest.close:,f}", _signed(change), *_position(account, symbol)
            )
    return table


def _position(account: AccountState, symbol: Symbol) -> tuple[str, str, str]:
    position = account.positions.get(symbol)
    if position is None:
        return ("flat", "", "")
    return (
        f"{position.quantity:+,f}",
        f"{position.entry_price:,.8g}",
        f"{position.notional:,.2f} {account.currency}",
    )


def _held_plans(session: Session, account: AccountState) -> list[PlannedStop]:
    plans = session.book.engine.plans
    return [plans[symbol] for symbol in account.positions if symbol in plans]


def _plan(plan: PlannedStop) -> Text:
    """Where a position ends, and what it was entered for."""
    ends = [f"stop {plan.price:,f}"]
    if plan.target is not None:
        ends.append(f"target {plan.target:,f}")
    if plan.falsified_at is not None:
        ends.append(f"wrong at {plan.falsified_at:,f}")
    why = f"; {plan.thesis}" if plan.thesis else ""
    return Text(f"{plan.symbol} held: {', '.join(ends)}{why}")


def _ballots(decision: Decision) -> Table:
    ballots = Table(
        Column("seat", no_wrap=True),
        Column("filled by", overflow="fold"),
        Column("says", no_wrap=True),
        Column("conf.", no_wrap=True, justify="right"),
        Column("why", overflow="fold", ratio=1),
        box=None,
        expand=True,
        pad_edge=False,
    )
    for ballot in decision.ballots:
        ballots.add_row(*ballot_row(ballot))
    return ballots


def ballot_row(ballot: Ballot) -> tuple[str, Text, Text, str, Text]:
    """One seat in words; a stand-in says that it is one."""
    filled_by = Text(ballot.model)
    if ballot.stand_in:
        name = ballot.model.removeprefix("baseline:")
        filled_by = Text(f"{name} (stand-in)", style=_STAND_IN)
    if isinstance(ballot, Abstention):
        says = Text("abstains", style="yellow")
        return (ballot.voter, filled_by, says, "", Text(f"{ballot.reason}: {ballot.detail}"))
    says = Text(ballot.direction, style=_COLOURS[ballot.direction])
    return (ballot.voter, filled_by, says, f"{ballot.confidence:.2f}", Text(ballot.rationale))


def _outcome(decision: Decision) -> str:
    panel = decision.consensus
    said = f"{panel.direction} by {panel.agreeing} of {panel.seats} seats; " if panel else ""
    return f"{said}{decision.rationale}; {ruling_in_words(decision.ruling)}"


def _risk(state: RiskState) -> Text:
    style = "green" if state.trading is TradingState.ACTIVE else "bold red"
    reason = f": {state.reason}" if state.reason else ""
    until = f" until {state.halted_until:%Y-%m-%d %H:%M}" if state.halted_until else ""
    streak = f", {state.loss_streak} losses in a row" if state.loss_streak else ""
    return Text(f"risk {state.trading}{reason}{until}{streak}", style=style)


def _guard(guard: Guard | None) -> list[Text]:
    """What takes resting entries back if we die; nothing where none rests, or the venue is ours."""
    match guard:
        case None | Guard.IDLE:
            return []
        case Guard.SWITCH:
            return [Text("resting entries: the venue cancels them unless it hears of us")]
        case Guard.EXPIRY:
            return [Text("resting entries: each ends at the venue by itself")]
        case Guard.NONE:
            said = "resting entries: none may, as nothing would take them back if we died"
            return [Text(said, style="yellow")]


def _kill_switch(session: Session, now: datetime) -> list[Text]:
    """What it has yet to end; nothing where the account's is off."""
    latch = session.book.state.latch
    if latch is None:
        return []
    if latch.is_done:
        said = "the venue says that nothing of ours is left; `sextant resume` lets entries in again"
        return [Text(f"kill switch done: {said}", style="yellow")]
    left = "; ".join(session.book.latches.unfinished(now))
    return [Text(f"kill switch since {latch.since:%H:%M:%S}, still open: {left}", style="bold red")]


def _money(card: Scorecard, account: AccountState, model_costs_usd: Decimal) -> list[Text]:
    equity = f"{account.equity:,f}" if account.equity is not None else "unknown"
    drawdown = card.equity.last.drawdown if card.equity.last is not None else 0.0
    wins = f"{card.hit_rate:.0%} won" if card.hit_rate is not None else "none closed yet"
    return [
        Text(
            f"equity {equity} {account.currency} ({_signed(card.equity.total_return)}), "
            f"drawdown {drawdown:.2%} (worst {card.equity.max_drawdown:.2%})"
        ),
        Text(
            f"trades {card.trades:,}, {wins}; fees {card.fees:,.2f}; "
            f"models {model_costs_usd:,.4f} USD; "
            f"vetoed {card.verdicts.vetoes:,} of {card.verdicts.intents:,} intents; "
            f"failures {card.failures:,}"
        ),
    ]


def _kept(session: Session, account: AccountState) -> list[Text]:
    """What is kept beside the trading book; nothing where that is off."""
    kept = session.book.kept
    if not kept:
        return []
    whole = f"{account.whole:,.2f}" if account.whole is not None else "unknown"
    lines = [f"kept {line}" for line in kept_in_words(kept, account.currency)]
    return [Text(f"with what is kept: {whole} {account.currency}"), *map(Text, lines)]


def _signed(share: float | None) -> str:
    return f"{share:+.2%}" if share is not None else "unknown"
