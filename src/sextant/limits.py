"""Every risk rule with its numbers, where they come from, and whether it binds now."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from data.instrument import Quantity, Symbol
from data.regime import Regime
from risk import rules
from risk.alerts import alerts
from risk.breaker import Marked, RiskState, next_state, trading_at
from risk.case import Case
from risk.intent import Direction, OrderIntent, Purpose
from risk.limits import RiskLimits
from risk.market import Market
from risk.objection import objection_of, plain
from risk.rulebook import BOOK, Kind, RuleInfo
from risk.sizing import scales
from sextant.settings import Settings
from sextant.settings_file import Layer
from sextant.standing import Standing

_ASKED = frozenset(
    {
        "trading_state",
        "daily_loss_limit",
        "weekly_loss_limit",
        "monthly_loss_limit",
        "day_drawdown_limit",
        "drawdown_limit",
        "cool_down",
        "model_failures",
        "restricted_hours",
        "equity",
        "open_positions",
    }
)
"""What binds, or not, before anybody knows the order: it reads account, state and time alone."""
_SCALES = frozenset({"derisk", "loss_streak", "volatility_spike"})  # what does, of the sizing

_SWITCHES: Mapping[str, tuple[str, ...]] = {
    "spread": ("max_spread_bps",),
    "fresh_book": ("max_book_age",),
    "depth": ("min_depth",),
    "depth_share": ("max_depth_share",),
    "volatility": ("volatility_target", "volatility_guard"),
    "volatility_guard": ("volatility_guard",),
    "volatility_target": ("volatility_target",),
    "volatility_spike": ("spike_ratio",),
    "low_conf_veto": ("no_trade_below",),
    "dynamic_floor": ("dynamic_floor",),
    "trend": ("trend_gate",),
    "overlay_trend": ("overlay_timeframes",),
    "expected_edge": ("min_net_edge_bps",),
    "stop_atr": ("min_stop_atr",),
    "reward_risk": ("min_reward_risk",),
    "round_trip_cost": ("max_cost_to_risk",),
    "liquidation_distance": ("min_liquidation_distance",),
    "kelly": ("kelly_fraction",),
    "value_at_risk": ("max_value_at_risk",),
    "adv_cap": ("max_adv_share",),
    "correlated_exposure": ("correlations",),
    "referral": ("refer_above", "refer_below"),
    "restricted_hours": ("restricted_hours",),
    "loss_streak": ("loss_streaks",),
    "closing": ("weekly_cut", "drawdown_closes"),
    "shadow": ("shadow",),
}
"""The limits that turn a rule off where all of them are zero, false or empty."""

_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_HEAD = re.compile(r"\s*\[\s*([A-Za-z0-9_.-]+)\s*\]")
_COMMENT = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'#])*#\s*(.*)""")  # not inside a string


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One limit as it is in force."""

    key: str
    value: Any
    file: str  # the topmost that sets it
    source: str  # the comment behind it there; empty without one


def numbers_of(limits: RiskLimits, layers: Sequence[Layer]) -> dict[str, Number]:
    """Every limit by its key, with the file that sets it; `layers` have the topmost first."""
    sources = {layer.path: sources_in(layer.path.read_text(encoding="utf-8")) for layer in layers}
    found = {}
    for key in RiskLimits.model_fields:
        layer = next(layer for layer in layers if key in layer.tables.get("risk", {}))
        source = sources[layer.path].get(key, "")
        value = getattr(limits, key)
        found[key] = Number(key=key, value=value, file=layer.path.name, source=source)
    return found


def sources_in(text: str) -> dict[str, str]:
    """The comment behind each key of `[risk]` in a TOML file, or behind the head of its table.

    A key without one has that of the key before it in the same paragraph: it says where both of
    them come from.
    """
    found: dict[str, str] = {}
    table, source = "", ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            table, source = head[1], ""
            if table.startswith("risk."):
                found[table.removeprefix("risk.")] = _comment(line)
        elif not line.strip():
            source = ""
        elif table == "risk" and (key := _KEY.match(line)):
            source = _comment(line) or source
            found[key[1]] = source
    return found


def _comment(line: str) -> str:
    found = _COMMENT.match(line)
    return found[1].strip() if found else ""


def in_words(value: object) -> str:
    """A limit as one would write it down; a table or a list takes a line an item."""
    match value:
        case BaseModel():
            return ", ".join(f"{name} {in_words(part)}" for name, part in value)
        case Mapping():
            return "\n".join(f"{name}: {in_words(part)}" for name, part in value.items()) or "none"
        case frozenset():
            return ", ".join(sorted(map(str, value))) or "none"
        case tuple():
            return "\n".join(map(in_words, value)) or "none"
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return plain(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def is_on(info: RuleInfo, limits: RiskLimits) -> bool:
    """Whether the rule's numbers let it do anything at all."""
    if info.name == "day_drawdown_limit":
        return limits.max_day_drawdown < 1
    switches = _SWITCHES.get(info.name)
    return switches is None or any(getattr(limits, key) for key in switches)


def binding(standing: Standing, settings: Settings) -> dict[str, str]:
    """By rule: what it has against every entry now, or which entries; only those that bind.

    The rules themselves are asked, as the next judgement would ask them.
    """
    found: dict[str, dict[str, None]] = {}
    for case in _cases(standing, settings):
        for rule in rules.RULES_FOR_ENTRIES:
            if rule.__name__ in _ASKED and (finding := rule(case)) is not None:
                objection = objection_of(finding)
                text = f"{objection.observed}, allowed {objection.limit}"
                found.setdefault(objection.rule, {})[_about(objection.rule, case) + text] = None
        for scale in scales(case):
            if scale.rule in _SCALES:
                of = f"{case.intent.symbol} " if scale.rule == "volatility_spike" else ""
                text = f"{of}sizes x {plain(scale.share)}"
                found.setdefault(scale.rule, {})[text] = None
    for near in alerts(_marked(standing, settings), standing.account, settings.risk):
        text = f"{near.rule}: {near.observed}, mark {near.limit}"
        found.setdefault("alerts", {})[text] = None
    return {name: "\n".join(texts) for name, texts in found.items()}


def _marked(standing: Standing, settings: Settings) -> RiskState:
    """The risk state as the limits of today find it."""
    event = Marked(equity=standing.account.equity, at=standing.at)
    return next_state(standing.state, event, settings.risk)


def _about(rule: str, case: Case) -> str:
    """Whom a rule is about that does not bind everybody."""
    match rule:
        case "cool_down":
            return f"{case.intent.symbol}: "
        case "model_failures":
            return f"{case.intent.strategy_id}: "
        case _:
            return ""


def _cases(standing: Standing, settings: Settings) -> Iterator[Case]:
    """An entry of each desk in each of its symbols, of which nothing else is known."""
    now, state = standing.at, _marked(standing, settings)
    for desk in settings.desk:
        for symbol in desk.instruments:
            yield Case(
                intent=_an_entry(desk.strategy_id, symbol, now),
                quantity=Quantity(Decimal(0)),
                account=standing.account,
                market=Market(
                    instrument=settings.instruments[symbol],
                    price=None,
                    priced_at=None,
                    rate=None,
                    spread_bps=None,
                    atr=None,
                    regime=Regime.UNKNOWN,
                ),
                state=state,
                limits=settings.risk,
                now=now,
            )


def _an_entry(desk: str, symbol: Symbol, now: datetime) -> OrderIntent:
    return OrderIntent(
        intent_id="nobody asks",
        strategy_id=desk,
        symbol=symbol,
        purpose=Purpose.ENTRY,
        direction=Direction.LONG,
        decided_at=now,
        confidence=1.0,
    )


def render(
    settings: Settings, numbers: Mapping[str, Number], standing: Standing | None
) -> RenderableType:
    """The book in tables: rules, numbers, and the desks with numbers of their own; 100 columns are
    enough."""
    bound = binding(standing, settings) if standing is not None else {}
    rows = [(info, _now(info, settings.risk, bound, standing)) for info in BOOK]
    tables = [_rules(rows, numbers), _numbers(numbers), *_desks(settings, standing)]
    return Group(_headline(standing, settings), *tables)


def _headline(standing: Standing | None, settings: Settings) -> Text:
    if standing is None:
        return Text("nothing is on record yet: no rule binds before the first run", style="bold")
    account = standing.account
    state = _marked(standing, settings)
    why = f" ({state.reason})" if state.reason else ""
    until = f" until {state.halted_until:%Y-%m-%d %H:%M} UTC" if state.halted_until else ""
    equity = plain(account.equity) if account.equity is not None else "unknown"
    return Text(
        f"as of {standing.at:%Y-%m-%d %H:%M:%S} UTC, the newest record: trading is "
        f"{trading_at(state, standing.at)}{why}{until}; equity {equity} {account.currency}; "
        f"losses in a row {state.loss_streak}",
        style="bold",
    )


def _desks(settings: Settings, standing: Standing | None) -> Iterator[Table]:
    """The desks that are held to limits of their own beside the account's."""
    desks = [desk for desk in settings.desk if desk.capital is not None]
    if not desks:
        return
    table = Table(
        Column("desk", no_wrap=True),
        Column("capital", no_wrap=True, justify="right"),
        Column("numbers of its own", overflow="fold", ratio=2),
        Column("trading", overflow="fold", ratio=1),
        box=SIMPLE_HEAD,
        expand=True,
        pad_edge=False,
        title="Desks with a part of the account",
        title_justify="left",
    )
    for desk in desks:
        own = desk.own_limits(settings.risk)
        shown = "\n".join(f"{key} = {in_words(getattr(own, key))}" for key in desk.limits)
        state = standing.desks.get(desk.strategy_id) if standing is not None else None
        table.add_row(desk.strategy_id, f"{desk.capital:f}", shown, _trading(state, standing))
    yield table


def _trading(state: RiskState | None, standing: Standing | None) -> str:
    if state is None or standing is None:
        return "nothing is on record yet"
    trading = trading_at(state, standing.at)
    return f"{trading}: {state.reason}" if state.reason else trading.value


def _now(
    info: RuleInfo, limits: RiskLimits, bound: Mapping[str, str], standing: Standing | None
) -> Text:
    if info.name in bound:
        return Text(bound[info.name], style="yellow" if info.kind is Kind.ALERT else "red")
    if not is_on(info, limits):
        return Text("off", style="dim")
    if info.name in limits.shadow:
        return Text("in shadow", style="magenta")
    if standing is None:
        return Text("")
    return Text("does not bind" if info.name in _ASKED | _SCALES else "order by order", style="dim")


def _rules(rows: Sequence[tuple[RuleInfo, Text]], numbers: Mapping[str, Number]) -> Table:
    table = Table(
        Column("rule", no_wrap=True),
        Column("kind", no_wrap=True),
        Column("numbers", overflow="fold", ratio=3),
        Column("shadow", no_wrap=True),
        Column("binds now", overflow="fold", ratio=2),
        box=SIMPLE_HEAD,
        expand=True,
        pad_edge=False,
        title="Rules",
        title_justify="left",
    )
    for info, now in rows:
        shown = "\n".join(_brief(numbers[key]) for key in info.limits)
        shadow = "may be" if info.can_be_shadowed else ""
        table.add_row(info.name, info.kind, Text(shown), shadow, now)
    return table


def _brief(number: Number) -> str:
    """A number beside its rule; a long one stands in the second table only."""
    text = in_words(number.value)
    return (
        f"{number.key} = {text}" if "\n" not in text and len(text) < 40 else f"{number.key}: below"
    )


def _numbers(numbers: Mapping[str, Number]) -> Table:
    table = Table(
        Column("number", overflow="fold", max_width=28),
        Column("value", overflow="fold", ratio=1),
        Column("file", no_wrap=True),
        Column("where it comes from", overflow="fold", ratio=1),
        box=SIMPLE_HEAD,
        expand=True,
        pad_edge=False,
        title="Numbers",
        title_justify="left",
    )
    for number in numbers.values():
        value = Text(in_words(number.value))
        table.add_row(number.key, value, number.file, Text(number.source))
    return table
