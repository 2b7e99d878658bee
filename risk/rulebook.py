"""The rule book as a table: what each rule reads, which limits, and what it does in doubt.

`sextant limits` and the page in docs/ are made from it; tests hold it against what the code does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from risk import rules
from risk.limits import SHADOWABLE


class Kind(StrEnum):
    """What a row of the book does."""

    RULE = "rule"  # objects to an order
    SCALE = "scale"  # makes an entry smaller
    BREAKER = "breaker"  # changes the risk state, or closes what is held
    ALERT = "alert"  # says something to a person, and stops nothing


class Unreadable(StrEnum):
    """What comes of an input that is missing, or no number, or stale."""

    REJECTS = "rejects"
    REJECTS_IF_ON = "rejects where the limit is on"
    NEUTRAL = "neutral"
    NEUTRAL_IF_MISSING = "neutral where missing; where it is no number, rejects if the limit is on"
    STOPS_ENTRIES = "stops entries until it is known"
    COUNTS_AS_LOSS = "counts as a loss"


_USUAL: Mapping[str, Unreadable] = {
    "account.equity": Unreadable.REJECTS,
    "account.cash": Unreadable.REJECTS,
    "account.holdings": Unreadable.REJECTS,
    "account.reconciled": Unreadable.REJECTS,
    "intent.alpha": Unreadable.REJECTS,
    "intent.confidence": Unreadable.REJECTS,
    "intent.limit": Unreadable.REJECTS,
    "intent.quantity": Unreadable.REJECTS,
    "intent.stop": Unreadable.REJECTS,
    "intent.target": Unreadable.REJECTS,
    "intent.trigger": Unreadable.REJECTS,
    "market.adv": Unreadable.REJECTS_IF_ON,
    "market.atr": Unreadable.REJECTS_IF_ON,
    "market.bar_volatility": Unreadable.REJECTS_IF_ON,
    "market.book_at": Unreadable.REJECTS_IF_ON,
    "market.calibration_error": Unreadable.REJECTS_IF_ON,
    "market.depth": Unreadable.REJECTS_IF_ON,
    "market.expected_move": Unreadable.REJECTS_IF_ON,
    "market.liquidation_price": Unreadable.REJECTS_IF_ON,
    "market.mean_atr": Unreadable.NEUTRAL,
    "market.model_confidence": Unreadable.NEUTRAL_IF_MISSING,
    "market.move": Unreadable.NEUTRAL,
    "market.overlays": Unreadable.NEUTRAL,
    "market.price": Unreadable.REJECTS,
    "market.priced_at": Unreadable.REJECTS,
    "market.rate": Unreadable.REJECTS,
    "market.realised_volatility": Unreadable.REJECTS_IF_ON,
    "market.spread_bps": Unreadable.REJECTS_IF_ON,
    "market.win_probability": Unreadable.REJECTS_IF_ON,
    "state.day_peak": Unreadable.REJECTS_IF_ON,
    "state.equity_known": Unreadable.REJECTS,
    "state.peak_equity": Unreadable.REJECTS,
}

ALWAYS_KNOWN = frozenset(
    {
        "account.currency",
        "account.exchanging",
        "account.in_flight",
        "account.positions",
        "intent.attempt",
        "intent.direction",
        "intent.exchange_fault",
        "intent.intent_id",
        "intent.purpose",
        "intent.reduces",
        "intent.strategy_id",
        "intent.symbol",
        "market.instrument",
        "market.regime",
        "state.acted",
        "state.cool_down_until",
        "state.day",
        "state.halted_until",
        "state.latch",
        "state.loss_streak",
        "state.model_failures",
        "state.month",
        "state.paused_until",
        "state.reason",
        "state.spike_until",
        "state.trading",
        "state.week",
    }
)
"""What has a reading for every case, `Regime.UNKNOWN` being one; a state that is not loaded keeps
the daemon from starting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """One row of the book."""

    name: str
    kind: Kind
    text: str  # a sentence
    limits: tuple[str, ...]  # keys of `RiskLimits`
    inputs: Mapping[str, Unreadable]  # those that can be unreadable
    rows: tuple[str, ...]  # of the requirements
    entries: bool
    reductions: bool
    exchanges: bool

    @property
    def can_be_shadowed(self) -> bool:
        """Whether `RiskLimits.shadow` may name it (S1-125)."""
        return self.name in SHADOWABLE


_ENTRY = "market.price intent.trigger intent.limit"  # where an entry fills
_STOP = f"{_ENTRY} intent.stop"
_VALUE = f"{_ENTRY} market.rate account.equity"
_TABLE: tuple[tuple[str, str, str, str], ...] = (
    # name, limits, inputs, rows of the requirements
    ("instrument", "", "", "S0-19"),
    ("allowed_symbol", "allowed_symbols", "", "S1-138"),
    ("entry_purpose", "", "", "S0-21"),
    ("trading_state", "", "state.equity_known", "S0-23 S0-24 S0-25 S1-97"),
    ("daily_loss_limit", "max_daily_loss", "account.equity", "S0-23 S2-42"),
    ("weekly_loss_limit", "max_weekly_loss", "account.equity", "S0-24 S2-42"),
    ("monthly_loss_limit", "max_monthly_loss", "account.equity", "S2-42"),
    ("day_drawdown_limit", "max_day_drawdown", "account.equity state.day_peak", "S1-98"),
    ("drawdown_limit", "max_drawdown", "account.equity state.peak_equity", "S0-25 S1-97 S1-98"),
    ("cool_down", "", "", "S1-93"),
    ("model_failures", "", "", "S2-44"),
    ("restricted_hours", "restricted_hours", "", "S0-19"),
    ("reconciled", "", "account.reconciled", "S0-19"),
    ("equity", "", "account.equity", "S0-19"),
    ("fresh_price", "max_price_age", "market.price market.priced_at", "S0-19"),
    ("conversion_rate", "", "market.rate", "S0-19"),
    ("fresh_book", "max_book_age", "market.book_at", "S0-19"),
    ("spread", "max_spread_bps", "market.spread_bps", "S0-19"),
    ("depth", "min_depth", f"{_ENTRY} market.rate market.depth", "S0-19"),
    (
        "volatility",
        "volatility_target volatility_guard",
        "intent.alpha market.realised_volatility",
        "S1-81 S1-87",
    ),
    ("order_prices", "", "intent.limit intent.stop intent.target intent.trigger", "S0-19"),
    ("wished_quantity", "", "intent.quantity", "S0-19"),
    ("confidence", "regimes tiers loss_streaks", "intent.confidence", "S1-57 S1-101"),
    (
        "low_conf_veto",
        "no_trade_below",
        "intent.confidence market.model_confidence",
        "S1-58 S1-60",
    ),
    (
        "dynamic_floor",
        "dynamic_floor dynamic_floor_volatility dynamic_floor_calibration",
        "intent.confidence market.realised_volatility market.calibration_error",
        "S1-59",
    ),
    ("trend", "trend_gate", "", "S0-17"),
    (
        "overlay_trend",
        "overlay_timeframes overlay_rule overlay_threshold overlay_max_age overlay_size",
        "market.overlays",
        "S1-103 S1-108 S1-109 S1-110 S1-111 S1-112 S1-115 S1-120 S1-121 S1-127",
    ),
    (
        "expected_edge",
        "min_net_edge_bps taker_fee slippage",
        "intent.confidence market.expected_move market.spread_bps=NEUTRAL",
        "S1-61",
    ),
    ("shortable", "", "", "S0-19"),
    ("one_entry", "", "market.price", "S1-94"),
    ("opposite_position", "", "market.price", "S1-94"),
    ("positions_per_symbol", "max_positions_per_symbol", "", "S1-94"),
    ("open_positions", "max_open_positions", "", "S2-40"),
    ("stop_loss", "", _STOP, "S0-26 S2-46"),
    (
        "stop_distance",
        "min_stop_distance max_stop_distance max_stop_distance_of",
        _STOP,
        "S0-26",
    ),
    ("stop_atr", "min_stop_atr", f"{_STOP} market.atr", "S0-26"),
    ("reward_risk", "min_reward_risk taker_fee", f"{_STOP} intent.target", "S2-46"),
    (
        "round_trip_cost",
        "max_cost_to_risk taker_fee slippage",
        f"{_STOP} market.spread_bps=NEUTRAL",
        "S1-61",
    ),
    (
        "liquidation_distance",
        "min_liquidation_distance",
        f"{_STOP} market.liquidation_price",
        "S3-46 S3-48",
    ),
    (
        "risk_per_trade",
        "max_risk_per_trade",
        f"{_STOP} market.rate account.equity",
        "S2-41",
    ),
    (
        "kelly",
        "kelly_fraction taker_fee",
        f"{_STOP} intent.target market.rate market.win_probability account.equity",
        "S2-39",
    ),
    ("position_size", "max_position", _VALUE, "S2-41 S3-46"),
    ("total_exposure", "max_exposure", _VALUE, "S2-40"),
    (
        "correlated_exposure",
        "max_correlated_exposure min_correlation correlations",
        _VALUE,
        "S2-45",
    ),
    (
        "leverage",
        "max_leverage regimes tiers drawdown_leverage loss_streaks",
        f"{_VALUE} intent.confidence state.peak_equity",
        "S0-22",
    ),
    ("margin_use", "max_margin_use margin_leverage", _VALUE, "S3-46"),
    (
        "value_at_risk",
        "max_value_at_risk value_at_risk_sigmas",
        f"{_VALUE} market.bar_volatility",
        "S3-46",
    ),
    ("adv_cap", "max_adv_share", "market.adv", "S1-95"),
    ("depth_share", "max_depth_share", "market.depth", "S1-95"),
    ("minimum_order", "", "market.price", "S0-19"),
    (
        "referral",
        "refer_above refer_below referral_span",
        f"{_VALUE} intent.confidence",
        "S3-45",
    ),
    ("reduces_position", "", "", "S0-19"),
    ("never_flips", "", "", "S0-19"),
    ("protection_trigger", "", "", "S0-26"),
    ("exchange_form", "", "", "S0-2 S0-36"),
    (
        "exchange_funds",
        "taker_fee",
        f"{_ENTRY} market.rate account.cash account.holdings",
        "S0-2 S0-36",
    ),
    (
        "exchange_target",
        "allocation",
        f"{_ENTRY} market.rate account.holdings",
        "S0-2",
    ),
    ("exchange_size", "allocation", f"{_ENTRY} market.rate", "S0-2 S0-36"),
    ("exchange_limit", "allocation", "intent.limit market.price", "S0-2 S0-36"),
    (
        "exchange_cost",
        "allocation taker_fee slippage",
        "market.spread_bps=NEUTRAL",
        "S0-2 S0-36",
    ),
)
_OTHERS: tuple[tuple[str, Kind, str, str, str, str], ...] = (
    ("tier", Kind.SCALE, "Less confidence, less size.", "tiers", "intent.confidence", "S1-102"),
    ("regime", Kind.SCALE, "Each regime has its size.", "regimes", "", "S0-19"),
    (
        "derisk",
        Kind.SCALE,
        "In a drawdown sizes are cut, before anything halts.",
        "derisk_drawdown derisk_size",
        "account.equity state.peak_equity",
        "S0-25",
    ),
    ("loss_streak", Kind.SCALE, "Losses in a row cut sizes.", "loss_streaks", "", "S1-100"),
    (
        "volatility_spike",
        Kind.SCALE,
        "A spike of a symbol's volatility cuts its sizes for a time.",
        "spike_ratio spike_size spike_span",
        "market.mean_atr market.atr=NEUTRAL",
        "S2-43",
    ),
    (
        "volatility_guard",
        Kind.SCALE,
        "Beyond a volatility the signal is scaled down.",
        "volatility_guard volatility_guard_floor",
        "market.realised_volatility",
        "S1-87 S1-88 S1-89 S1-90 S1-91",
    ),
    (
        "volatility_target",
        Kind.SCALE,
        "The signal, after the guard, becomes a position of a volatility that is wished for.",
        "volatility_target volatility_cap",
        "intent.alpha market.realised_volatility",
        "S1-81 S1-82 S1-83 S1-84 S1-85",
    ),
    (
        "cool_downs",
        Kind.BREAKER,
        "After orders, losses, unusual moves and rebalancing a symbol rests.",
        "cool_down_after_order cool_down_after_loss unusual_move cool_down_after_move"
        " cool_down_after_rebalance",
        "market.move trade.pnl=COUNTS_AS_LOSS",
        "S1-93",
    ),
    (
        "losing",
        Kind.BREAKER,
        "Losses in a row stop entries for a time, and too many of them until a person resumes.",
        "loss_streaks max_loss_streak",
        "trade.pnl=COUNTS_AS_LOSS",
        "S1-100",
    ),
    (
        "model_breaker",
        Kind.BREAKER,
        "Decisions that fail in a row pause their desk.",
        "max_model_failures model_failure_pause",
        "",
        "S2-44",
    ),
    (
        "equity_unknown",
        Kind.BREAKER,
        "While equity is unknown nothing is entered.",
        "",
        "account.equity=STOPS_ENTRIES",
        "S0-19",
    ),
    (
        "account_drawdown",
        Kind.BREAKER,
        "A fall of the whole account, holdings and bags included, stops entries and sells nothing.",
        "max_account_drawdown",
        "",
        "S0-36",
    ),
    (
        "closing",
        Kind.BREAKER,
        "The weekly limit cuts positions; a drawdown limit throws the kill switch.",
        "weekly_cut drawdown_closes",
        "",
        "S0-24 S0-25",
    ),
    (
        "alerts",
        Kind.ALERT,
        "What comes near a limit is said before it is reached.",
        "warn_daily_loss warn_exposure warn_margin_use derisk_drawdown margin_leverage",
        "account.equity=NEUTRAL",
        "S1-97",
    ),
    (
        "shadow",
        Kind.ALERT,
        "What is only tried is asked and recorded, and does not act.",
        "shadow",
        "",
        "S1-125 S1-126",
    ),
)


def _inputs(text: str) -> dict[str, Unreadable]:
    named = (part.partition("=") for part in text.split())
    return {name: Unreadable[way] if way else _USUAL[name] for name, _, way in named}


def _rows() -> Iterator[RuleInfo]:
    checks = {rule.__name__: rule for rule in rules.RULES}
    for name, limits, inputs, rows in _TABLE:
        check = checks[name]
        yield RuleInfo(
            name=name,
            kind=Kind.RULE,
            text=" ".join((check.__doc__ or "").partition("\n\n")[0].split()),
            limits=tuple(limits.split()),
            inputs=_inputs(inputs),
            rows=tuple(rows.split()),
            entries=check in rules.RULES_FOR_ENTRIES,
            reductions=check in rules.RULES_FOR_REDUCTIONS,
            exchanges=check in rules.RULES_FOR_EXCHANGES,
        )
    for name, kind, text, limits, inputs, rows in _OTHERS:
        yield RuleInfo(
            name=name,
            kind=kind,
            text=text,
            limits=tuple(limits.split()),
            inputs=_inputs(inputs),
            rows=tuple(rows.split()),
            entries=True,
            reductions=False,
            exchanges=False,
        )


BOOK: tuple[RuleInfo, ...] = tuple(_rows())
"""Every rule in the order of judging, then sizing, breakers and alerts."""
