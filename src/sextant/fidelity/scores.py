"""How far the rules of filling were from what the recording says, by kind of order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sextant.fidelity.outcome import Bounds, Outcome, filled_share, slippage_bps
from sextant.fidelity.probes import Probe
from sextant.fidelity.rules import FillRule


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketScore:
    """One rule on market orders of one size; slippage in basis points of the mid at sending.

    An error is what the rule said less what was realised: above zero the rule is too pessimistic.
    """

    rule: str
    group: str
    probes: int  # of which both the rule and the recording filled something
    predicted_bps: float | None
    realised_bps: float | None
    mean_error_bps: float | None
    p50_error_bps: float | None  # of the size of the error, whatever its sign
    p95_error_bps: float | None
    predicted_fill: float | None  # mean share of the quantity
    realised_fill: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitScore:
    """One rule on limit orders of one placement; the truth lies between least and most."""

    rule: str
    group: str
    probes: int
    predicted_fill: float | None  # mean share of the quantity
    least_fill: float | None
    most_fill: float | None
    false_fills: int  # probes of which more was predicted than can have been filled
    missed_fills: int  # probes of which less was predicted than must have been filled
    certain: int  # probes whose two bounds are the same


def market_scores(
    rules: Sequence[FillRule], truths: Sequence[tuple[Probe, Outcome]]
) -> Iterator[MarketScore]:
    """By size in the order of the probes, then by rule."""
    for group in _groups(probe for probe, _ in truths):
        for rule in rules:
            met = [
                (probe, said, truth)
                for probe, truth in truths
                if probe.group == group and (said := rule.market(probe)) is not None
            ]
            yield _market_score(rule.name, group, met)


def limit_scores(
    rules: Sequence[FillRule], truths: Sequence[tuple[Probe, Bounds]]
) -> Iterator[LimitScore]:
    """By placement in the order of the probes, then by rule."""
    for group in _groups(probe for probe, _ in truths):
        for rule in rules:
            met = [
                (probe, said, truth)
                for probe, truth in truths
                if probe.group == group
                and probe.limit is not None
                and (said := rule.limit(probe, probe.limit)) is not None
            ]
            yield _limit_score(rule.name, group, met)


def _groups(probes: Iterable[Probe]) -> list[str]:
    return list(dict.fromkeys(probe.group for probe in probes))


def _market_score(
    rule: str, group: str, met: Sequence[tuple[Probe, Outcome, Outcome]]
) -> MarketScore:
    priced = [
        (said_bps, true_bps)
        for probe, said, truth in met
        if (said_bps := slippage_bps(probe, said)) is not None
        and (true_bps := slippage_bps(probe, truth)) is not None
    ]
    errors = [said - true for said, true in priced]
    sizes = [abs(error) for error in errors]
    return MarketScore(
        rule=rule,
        group=group,
        probes=len(priced),
        predicted_bps=_mean([said for said, _ in priced]),
        realised_bps=_mean([true for _, true in priced]),
        mean_error_bps=_mean(errors),
        p50_error_bps=_quantile(sizes, 0.50),
        p95_error_bps=_quantile(sizes, 0.95),
        predicted_fill=_mean([filled_share(probe, said) for probe, said, _ in met]),
        realised_fill=_mean([filled_share(probe, truth) for probe, _, truth in met]),
    )


def _limit_score(rule: str, group: str, met: Sequence[tuple[Probe, Outcome, Bounds]]) -> LimitScore:
    return LimitScore(
        rule=rule,
        group=group,
        probes=len(met),
        predicted_fill=_mean([filled_share(probe, said) for probe, said, _ in met]),
        least_fill=_mean([filled_share(probe, true.least) for probe, _, true in met]),
        most_fill=_mean([filled_share(probe, true.most) for probe, _, true in met]),
        false_fills=sum(said.quantity > true.most.quantity for _, said, true in met),
        missed_fills=sum(said.quantity < true.least.quantity for _, said, true in met),
        certain=sum(true.least.quantity == true.most.quantity for _, _, true in met),
    )


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if numbers else None


def _quantile(numbers: Sequence[float], share: float) -> float | None:
    return float(np.quantile(numbers, share)) if numbers else None
