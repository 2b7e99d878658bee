"""The numbers of a run in words, for people."""

from collections.abc import Sequence

from sextant.evaluation.counterfactual import MANY
from sextant.evaluation.kept import kept_in_words
from sextant.evaluation.summary import GateDay, RuleSummary, SeatSummary, Summary

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
        *_risk(summary),
        *_result(summary),
        *_trading(summary),
        *_kept(summary),
        ("decisions", f"{summary.decisions:,}, {summary.failures:,} failed"),
        ("intents", f"{summary.intents:,}, {summary.vetoes:,} vetoes"),
        *_second_looks(summary),
        ("objections by rule", objections(summary)),
        (f"days of over {MANY} vetoes", _days(summary)),
    ]


def _bars(summary: Summary) -> str:
    came = f"{percent(summary.presence)} of those due"
    return f"{summary.bars:,}, {came}, {summary.interruptions:,} interruptions"


def _risk(summary: Summary) -> list[tuple[str, str]]:
    return [
        ("Sharpe (daily, 365)", ratio(summary.sharpe)),
        ("Sharpe, last 30 days", ratio(summary.rolling_sharpe)),
        ("Sortino (daily, 365)", ratio(summary.sortino)),
        ("drawdown", f"{percent(summary.max_drawdown)} at most, {percent(summary.drawdown)} now"),
    ]


def _result(summary: Summary) -> list[tuple[str, str]]:
    worse = (f"{percent(r)} at {bps} bps" for bps, r in summary.return_if_worse.items())
    return [
        ("equity at the start", f"{ratio(summary.equity_start)} {summary.currency}"),
        ("equity at the end", equity_end(summary)),
        ("return", percent(summary.total_return)),
        ("return, a year", percent(summary.annual_return)),
        ("if all fills were worse", _listed(*worse) or "undefined"),
    ]


def _trading(summary: Summary) -> list[tuple[str, str]]:
    rows = [
        ("fills", f"{summary.buys:,} buys, {summary.sells:,} sells"),
        ("closed trades", _trades(summary)),
        ("mean win over mean loss", ratio(summary.win_loss_ratio)),
        ("profit factor", ratio(summary.profit_factor)),
        ("fees", _fees(summary)),
        ("turnover", _turnover(summary)),
        *((("profit by cause", _attributed(summary)),) if summary.trades else ()),
        ("model costs", f"{summary.model_costs_usd:,.4f} USD"),
    ]
    if summary.charged:
        rows.append(("margin and funding", f"{summary.charged:,.2f} {summary.currency}"))
    if summary.liquidations:
        taken = (f"{symbol}: {count:,} fills" for symbol, count in summary.liquidations.items())
        rows.insert(0, ("liquidations, by force", _listed(*taken)))
    if summary.unvalued:
        rows.append(
            ("without a price", f"{summary.unvalued:,} fills, charges or trades, left out above")
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


def _attributed(summary: Summary) -> str:
    """What the profit of the closed trades came of (S1-136)."""
    parts = (
        f"alpha {summary.alpha:+,.2f}",
        f"timing {summary.timing:+,.2f}",
        f"slippage {summary.slippage:+,.2f}",
        f"fees {summary.attributed_fees:+,.2f} {summary.currency}",
    )
    left = summary.trades - summary.attributed
    unknown = f"of {summary.attributed:,} trades, of {left:,} it is unknown" if left else ""
    return _listed(*parts, unknown)


def _trades(summary: Summary) -> str:
    won = f"{percent(summary.hit_rate, 1)} won" if summary.trades else ""
    return _listed(f"{summary.trades:,}", won, _daily(summary.trades_per_day))


def _fees(summary: Summary) -> str:
    share = summary.cost_share
    of_profit = "" if share is None else f"{percent(share, 1)} of the profit before them"
    return _listed(f"{summary.fees:,.2f} {summary.currency}", of_profit)


def _turnover(summary: Summary) -> str:
    return _listed(f"{ratio(summary.turnover)} x equity", _daily(summary.turnover_per_day))


def _daily(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f} a day"


def _second_looks(summary: Summary) -> list[tuple[str, str]]:
    """What was asked again, and what a person was asked."""
    rows = []
    if summary.revisions:
        again = f"{summary.asked_again:,} asked again, {summary.approved_again:,} then approved"
        rows.append(("sent back", f"{summary.revisions:,}, {again}"))
    if summary.referrals:
        ends = (f"{count:,} {end}" for end, count in summary.referral_ends.items())
        rows.append(("left to a person", _listed(f"{summary.referrals:,}", *ends)))
    return rows


def _days(summary: Summary) -> str:
    busy, others = summary.busy_days, summary.other_days
    if not busy.count:
        return f"0 of {others.count:,}"
    went = f"mean return {percent(busy.mean_change)} on these"
    if others.count:
        went = f"{went}, {percent(others.mean_change)} on the others"
    return f"{busy.count:,} of {busy.count + others.count:,}; {went}"


def busiest(summary: Summary) -> list[GateDay]:
    """The days with the most vetoes, at most ten of them, the newest of equals first."""
    vetoed = [day for day in summary.days if day.vetoes]
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


def objections(summary: Summary) -> str:
    """How often each rule objected, and to what share of intents; the most frequent first."""
    return (
        _listed(*(_objected(rule, n, summary) for rule, n in summary.rejections.items())) or "none"
    )


def _objected(rule: str, count: int, summary: Summary) -> str:
    share = of_intents(count, summary.intents)
    return f"{rule} {count:,} ({share})" if share else f"{rule} {count:,}"
