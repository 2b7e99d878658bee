"""The numbers of a run in words, for people."""

from collections.abc import Sequence

from sextant.evaluation.counterfactual import MANY
from sextant.evaluation.kept import kept_in_words
from sextant.evaluation.summary import (
    GateDay,
    GateSummary,
    ReturnSummary,
    RuleSummary,
    SeatSummary,
    Summary,
    TradeSummary,
)

KINDS = ("long", "short", "close", "hold", "abstained")
"""What a ballot can be, in the order in which it is shown."""

_BUSIEST = 10  # days that are shown


def percent(share: float | None, places: int = 2) -> str:
    """A fraction in percent; undefined is said."""
    return "undefined" if share is None else f"{share:.{places}%}"


def ratio(value: float | None, places: int = 2) -> str:
    """A pure number with thousands separated; undefined is said."""
    return "undefined" if value is None else f"{value:,.{places}f}"


def counted(seat: SeatSummary) -> dict[str, int]:
    """The ballots of one seat by kind."""
    votes = {kind: seat.votes.get(kind, 0) for kind in KINDS[:-1]}
    return {**votes, KINDS[-1]: sum(seat.abstentions.values())}


def filled_by(seat: SeatSummary) -> str:
    """What sits there; a stand-in says that it is one."""
    return f"{seat.model.removeprefix('baseline:')} (stand-in)" if seat.stand_in else seat.model


def stand_in_notice(seats: Sequence[SeatSummary]) -> str:
    """A sentence if a seat's votes are not its model's; else empty."""
    named = [seat.voter for seat in seats if seat.stand_in]
    if not named:
        return ""
    return (
        f"{len(named)} of {len(seats)} seats were filled by rules that stand in for a model: "
        f"{', '.join(named)}. Their votes say nothing about the models."
    )


def period(summary: Summary) -> str:
    """From the first bar to the last."""
    if summary.first_bar is None or summary.last_bar is None:
        return "no bar"
    return f"{summary.first_bar:%Y-%m-%d %H:%M} to {summary.last_bar:%Y-%m-%d %H:%M} UTC"


def equity_end(summary: Summary) -> str:
    """The ledger's figure, every digit of it."""
    known = f"{summary.equity_end:,f}" if summary.equity_end is not None else "unknown"
    return f"{known} {summary.currency}"


def figures(summary: Summary) -> list[tuple[str, str]]:
    """Every number with its name; what a risk was taken for comes after the risk (S1-209)."""
    return [
        ("market", summary.market),
        ("period", period(summary)),
        ("bars", _bars(summary)),
        *_risk(summary.returns),
        *_result(summary),
        *_trading(summary),
        *_kept(summary),
        ("decisions", f"{summary.decisions:,}, {summary.failures:,} failed"),
        ("intents", f"{summary.gate.intents:,}, {summary.gate.vetoes:,} vetoes"),
        *_second_looks(summary.gate),
        ("objections by rule", objections(summary.gate)),
        (f"days of over {MANY} vetoes", _days(summary.gate)),
    ]


def _bars(summary: Summary) -> str:
    came = f"{percent(summary.presence)} of those due"
    return f"{summary.bars:,}, {came}, {summary.interruptions:,} interruptions"


def _risk(returns: ReturnSummary) -> list[tuple[str, str]]:
    return [
        ("Sharpe (daily, 365)", ratio(returns.sharpe)),
        ("Sharpe, last 30 days", ratio(returns.rolling_sharpe)),
        ("Sortino (daily, 365)", ratio(returns.sortino)),
        ("drawdown", f"{percent(returns.max_drawdown)} at most, {percent(returns.drawdown)} now"),
    ]


def _result(summary: Summary) -> list[tuple[str, str]]:
    returns = summary.returns
    worse = (f"{percent(r)} at {bps} bps" for bps, r in returns.return_if_worse.items())
    return [
        ("equity at the start", f"{ratio(returns.equity_start)} {summary.currency}"),
        ("equity at the end", equity_end(summary)),
        ("return", percent(returns.total_return)),
        ("return, a year", percent(returns.annual_return)),
        ("if all fills were worse", _listed(*worse) or "undefined"),
    ]


def _trading(summary: Summary) -> list[tuple[str, str]]:
    trading = summary.trading
    rows = [
        ("fills", f"{trading.buys:,} buys, {trading.sells:,} sells"),
        ("closed trades", _trades(trading)),
        ("mean win over mean loss", ratio(trading.win_loss_ratio)),
        ("profit factor", ratio(trading.profit_factor)),
        ("fees", _fees(trading, summary.currency)),
        ("turnover", _turnover(trading)),
        *((("profit by cause", _attributed(trading, summary.currency)),) if trading.trades else ()),
        ("model costs", f"{summary.model_costs_usd:,.4f} USD"),
    ]
    if trading.charged:
        rows.append(("margin and funding", f"{trading.charged:,.2f} {summary.currency}"))
    if trading.liquidations:
        taken = (f"{symbol}: {count:,} fills" for symbol, count in trading.liquidations.items())
        rows.insert(0, ("liquidations, by force", _listed(*taken)))
    if trading.unvalued:
        rows.append(
            ("without a price", f"{trading.unvalued:,} fills, charges or trades, left out above")
        )
    return rows


def _kept(summary: Summary) -> list[tuple[str, str]]:
    """What is held beside the trading book, a row an asset; none where nothing is."""
    if not summary.kept:
        return []
    whole = f"{summary.whole_end:,.2f}" if summary.whole_end is not None else "unknown"
    lines = kept_in_words(summary.kept, summary.currency)
    return [
        ("with what is kept beside", f"{whole} {summary.currency}"),
        *(("kept" if n == 0 else "", line) for n, line in enumerate(lines)),
        ("fills of holdings and bags", f"{summary.exchanged:,}"),
    ]


def _attributed(trading: TradeSummary, currency: str) -> str:
    """What the profit of the closed trades came of (S1-136)."""
    parts = (
        f"alpha {trading.alpha:+,.2f}",
        f"timing {trading.timing:+,.2f}",
        f"slippage {trading.slippage:+,.2f}",
        f"fees {trading.attributed_fees:+,.2f} {currency}",
    )
    left = trading.trades - trading.attributed
    unknown = f"of {trading.attributed:,} trades, of {left:,} it is unknown" if left else ""
    return _listed(*parts, unknown)


def _trades(trading: TradeSummary) -> str:
    won = f"{percent(trading.hit_rate, 1)} won" if trading.trades else ""
    return _listed(f"{trading.trades:,}", won, _daily(trading.trades_per_day))


def _fees(trading: TradeSummary, currency: str) -> str:
    share = trading.cost_share
    of_profit = "" if share is None else f"{percent(share, 1)} of the profit before them"
    return _listed(f"{trading.fees:,.2f} {currency}", of_profit)


def _turnover(trading: TradeSummary) -> str:
    return _listed(f"{ratio(trading.turnover)} x equity", _daily(trading.turnover_per_day))


def _daily(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f} a day"


def _second_looks(gate: GateSummary) -> list[tuple[str, str]]:
    """What was asked again, and what a person was asked."""
    rows = []
    if gate.revisions:
        again = f"{gate.asked_again:,} asked again, {gate.approved_again:,} then approved"
        rows.append(("sent back", f"{gate.revisions:,}, {again}"))
    if gate.referrals:
        ends = (f"{count:,} {end}" for end, count in gate.referral_ends.items())
        rows.append(("left to a person", _listed(f"{gate.referrals:,}", *ends)))
    return rows


def _days(gate: GateSummary) -> str:
    busy, others = gate.busy_days, gate.other_days
    if not busy.count:
        return f"0 of {others.count:,}"
    went = f"mean return {percent(busy.mean_change)} on these"
    if others.count:
        went = f"{went}, {percent(others.mean_change)} on the others"
    return f"{busy.count:,} of {busy.count + others.count:,}; {went}"


def busiest(gate: GateSummary) -> list[GateDay]:
    """The days with the most vetoes, at most ten of them, the newest of equals first."""
    vetoed = [day for day in gate.days if day.vetoes]
    return sorted(vetoed, key=lambda day: (day.vetoes, day.date), reverse=True)[:_BUSIEST]


def mode(rule: RuleSummary) -> str:
    """Whether the rule stops entries, or is only tried."""
    return "shadow" if rule.shadow else "acting"


def in_r(value: float | None, places: int = 2) -> str:
    """A result in R with its sign; empty where there is none."""
    return "" if value is None else f"{value:+,.{places}f}"


def of_intents(count: int, intents: int) -> str:
    """A count as a share of the intents; empty where there were none."""
    return percent(count / intents, 1) if intents else ""


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def objections(gate: GateSummary) -> str:
    """How often each rule objected, and to what share of intents; the most frequent first."""
    objected = (_objected(rule, count, gate.intents) for rule, count in gate.rejections.items())
    return _listed(*objected) or "none"


def _objected(rule: str, count: int, intents: int) -> str:
    share = of_intents(count, intents)
    return f"{rule} {count:,} ({share})" if share else f"{rule} {count:,}"
