"""Candles as a venue makes them of its trades: quiet intervals included, the open one last."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Numbers as the text that venues send."""

    opened_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str = "0"
    turnover: str = "0"
    trades: int = 0


def candles(trades: Iterable[tuple[int, str, str]], length_ms: int, now_ms: int) -> list[Candle]:
    """Of trades by milliseconds, price and quantity, in the order they were made."""
    grouped: dict[int, list[tuple[Decimal, Decimal]]] = {}
    for at_ms, price, quantity in trades:
        group = grouped.setdefault(at_ms // length_ms * length_ms, [])
        group.append((Decimal(price), Decimal(quantity)))
    if not grouped:
        return []
    first = min(grouped)
    close, made = str(grouped[first][0][0]), []
    for opened in range(first, now_ms + 1, length_ms):
        made.append(_candle(opened, grouped.get(opened, []), close))
        close = made[-1].close
    return made


def _candle(opened_ms: int, trades: list[tuple[Decimal, Decimal]], close: str) -> Candle:
    if not trades:
        return Candle(opened_ms=opened_ms, open=close, high=close, low=close, close=close)
    prices = [price for price, _ in trades]
    return Candle(
        opened_ms=opened_ms,
        open=str(prices[0]),
        high=str(max(prices)),
        low=str(min(prices)),
        close=str(prices[-1]),
        volume=str(sum(quantity for _, quantity in trades)),
        turnover=str(sum(price * quantity for price, quantity in trades)),
        trades=len(trades),
    )
