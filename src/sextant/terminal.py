"""What a person at the terminal sees: the market, the last decision, the risk, the book."""

from datetime import datetime
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.vote import Abstention, Ballot
from data.account import AccountState
from data.instrument import Symbol
from risk.breaker import RiskState, TradingState
from risk.intent import Direction
from sextant.cycle import Approved, Decision, Ruling, Vetoed
from sextant.evaluation.scorecard import Scorecard
from sextant.session import Session

_COLOURS = {
    Direction.LONG: "green",
    Direction.SHORT: "red",
    Direction.CLOSE: "yellow",
    Direction.HOLD: "dim",
}


def render(
    session: Session, *, title: str, now: datetime, model_costs_usd: Decimal
) -> RenderableType:
    """The whole view as one renderable; reads the session and changes nothing."""
    account = session.book.account(now)
    card = session.scorecard
    parts: list[RenderableType] = [
        Text(f"{title}   {now:%Y-%m-%d %H:%M:%S} UTC   bar {card.bars}", style="bold"),
        _market(card, account),
        *(_decision(d) for d in _newest(session)),
        _risk(session.book.state),
        _money(card, account, model_costs_usd),
    ]
    return Group(*parts)


def _newest(session: Session) -> list[Decision]:
    """The newest decision of each desk; one with an intent goes before one of the same bar."""
    newest: dict[str, Decision] = {}
    for (desk, _), decision in session.decisions.items():
        best = newest.get(desk)
        if best is None or _rank(decision) > _rank(best):
            newest[desk] = decision
    return list(newest.values())


def _rank(decision: Decision) -> tuple[datetime, bool]:
    return (decision.bar_closed_at, decision.intent is not None)


def _market(card: Scorecard, account: AccountState) -> Table:
    table = Table("symbol", "price", "since start", "position", "entry", "value", expand=True)
    for symbol, prices in card.prices.items():
        points = prices.items
        change = float(points[-1].price / points[0].price - 1)
        table.add_row(symbol, f"{points[-1].price}", _signed(change), *_position(account, symbol))
    return table


def _position(account: AccountState, symbol: Symbol) -> tuple[str, str, str]:
    position = account.positions.get(symbol)
    if position is None:
        return ("flat", "", "")
    return (
        f"{position.quantity:+f}",
        f"{position.entry_price:.8g}",
        f"{position.notional:,.2f} {account.currency}",
    )


def _decision(decision: Decision) -> Panel:
    ballots = Table("seat", "filled by", "says", "confidence", "why", expand=True)
    for ballot in decision.ballots:
        ballots.add_row(*ballot_row(ballot))
    heading = (
        f"{decision.strategy_id}: {decision.symbol} at {decision.bar_closed_at:%H:%M}, "
        f"price {decision.price}, regime {decision.regime}"
    )
    return Panel(Group(ballots, Text(_outcome(decision))), title=heading, title_align="left")


def ballot_row(ballot: Ballot) -> tuple[str, str | Text, Text, str, str]:
    """One seat in words; a stand-in says that it is one."""
    filled_by = (
        Text(f"{ballot.model} (stand-in)", style="magenta") if ballot.stand_in else ballot.model
    )
    if isinstance(ballot, Abstention):
        says = Text("abstains", style="yellow")
        return (ballot.voter, filled_by, says, "", f"{ballot.reason}: {ballot.detail}")
    says = Text(ballot.direction, style=_COLOURS[ballot.direction])
    return (ballot.voter, filled_by, says, f"{ballot.confidence:.2f}", ballot.rationale)


def _outcome(decision: Decision) -> str:
    panel = decision.consensus
    said = f"{panel.direction} by {panel.agreeing} of {panel.seats} seats; " if panel else ""
    return f"{said}{decision.rationale}; {ruling_in_words(decision.ruling)}"


def ruling_in_words(ruling: Ruling | None) -> str:
    """What the risk engine said, with every objection."""
    match ruling:
        case None:
            return "no order wished"
        case Approved():
            cut = "".join(f", cut by {o.rule}" for o in ruling.reductions)
            return f"approved {ruling.quantity:+f}{cut}"
        case Vetoed():
            listed = "; ".join(
                f"{o.rule}: {o.observed} against {o.limit} {o.unit}" for o in ruling.objections
            )
            return f"vetoed: {listed}"


def _risk(state: RiskState) -> Text:
    style = "green" if state.trading is TradingState.ACTIVE else "bold red"
    until = f" until {state.halted_until:%Y-%m-%d %H:%M}" if state.halted_until else ""
    streak = f", {state.loss_streak} losses in a row" if state.loss_streak else ""
    return Text(f"risk: {state.trading}{until} {state.reason}{streak}", style=style)


def _money(card: Scorecard, account: AccountState, model_costs_usd: Decimal) -> Text:
    equity = f"{account.equity:,.2f}" if account.equity is not None else "unknown"
    wins = f"{card.hit_rate:.0%} won" if card.hit_rate is not None else "none closed yet"
    return Text(
        f"equity {equity} {account.currency} ({_signed(card.equity.total_return)}), "
        f"drawdown {card.equity.last.drawdown if card.equity.last else 0:.2%} "
        f"(worst {card.equity.max_drawdown:.2%}); trades {card.trades}, {wins}; "
        f"fees {card.fees:,.2f}, models {model_costs_usd:.4f} USD; "
        f"vetoes {sum(card.rejections.values())}, failures {card.failures}"
    )


def _signed(share: float | None) -> str:
    return f"{share:+.2%}" if share is not None else "unknown"
