"""The equity curve, the fills and the closed trades as CSV, for whoever has tools of their own."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from sextant.evaluation.scorecard import Scorecard


def write_tables(folder: Path, card: Scorecard) -> None:
    """Write equity.csv, fills.csv and trades.csv into `folder` (S1-224).

    The curve is thinned to some thousand points, its deepest and its newest among them; of fills
    and trades there are the newest 10,000. Times are ISO 8601 in UTC; an unknown value is empty.
    """
    _write(
        folder / "equity.csv",
        ("at", "equity", "drawdown"),
        ((p.at.isoformat(), p.equity, f"{p.drawdown:.6f}") for p in card.equity.drawn),
    )
    _write(
        folder / "fills.csv",
        ("at", "symbol", "side", "quantity", "price", "fee", "fee_asset", "liquidity", "order"),
        (
            (
                f.filled_at.isoformat(),
                f.symbol,
                f.side,
                f"{f.quantity:f}",
                f"{f.price:f}",
                f"{f.fee:f}",
                f.fee_asset,
                f.liquidity,
                f.client_order_id,
            )
            for f in card.fills
        ),
    )
    _write(
        folder / "trades.csv",
        ("opened_at", "closed_at", "symbol", "quantity", "pnl", "fees"),
        (
            (
                t.opened_at.isoformat(),
                t.closed_at.isoformat(),
                t.symbol,
                f"{t.quantity:f}",
                "" if t.pnl is None else f"{t.pnl:f}",
                "" if t.fees is None else f"{t.fees:f}",
            )
            for t in card.closed
        ),
    )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
