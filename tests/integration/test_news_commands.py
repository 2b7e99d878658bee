"""Archives of headlines and a venue's funding, kept in PostgreSQL."""

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from data.clock import ManualClock
from data.collect import funding as funding_command
from data.collect.import_headlines import app, import_headlines
from data.collect.patience import Patience
from data.collect.payments import fill_funding
from data.feeds.hyperliquid import HyperliquidSource, rate_budget
from data.headline_documents import FieldNames
from data.instrument import Symbol
from data.news_window import NewsWindow, known_news
from data.postgres.funding import PostgresFundingStore
from data.postgres.news import PostgresNewsStore
from tests.builders_news import NOON, terms
from tests.wire.hyperliquid import HyperliquidServer

BTC = Symbol("BTC/USDC")
ARCHIVE = "news/cryptonews_20211012_20220331.csv.gz"


@pytest.mark.req("S3-4", "S3-6")
async def test_an_archive_is_kept_once_and_shows_the_past_what_it_could_have_seen(
    pool, shared_data
):
    store, lag = PostgresNewsStore(pool), timedelta(hours=6)
    path, names = shared_data / ARCHIVE, FieldNames(published="ts")
    for _ in range(2):
        done = await import_headlines(path, names, terms(assumed_lag=lag), store, ManualClock(NOON))
    at, window = datetime(2022, 1, 15, 12, tzinfo=UTC), NewsWindow()
    items = await store.known(since=at - window.max_age, until=at)
    everything = await store.known(since=datetime(2021, 1, 1, tzinfo=UTC), until=NOON)
    shown = known_news(items, at=at, window=window)
    assert shown == known_news(everything, at=at, window=window)
    assert len(everything) == done.put == 3_491
    assert len(shown) == 10
    assert all(item.published_at <= at - lag for item in shown)


async def test_an_archive_without_an_assumption_is_news_of_today(pool, shared_data):
    store, names = PostgresNewsStore(pool), FieldNames(published="ts")
    await import_headlines(shared_data / ARCHIVE, names, terms(), store, ManualClock(NOON))
    assert (
        await store.known(since=datetime(2021, 1, 1, tzinfo=UTC), until=NOON - timedelta(1)) == []
    )
    assert await store.known(since=NOON, until=NOON)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"": "none.csv"}, "does not exist", id="no file"),
        pytest.param({"--zone": "Mars/Olympus"}, "no time zone", id="no zone"),
        pytest.param({"--stream": "sports"}, "sports", id="no stream"),
    ],
)
def test_the_import_says_what_is_wrong(tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "news.csv").write_text("title,url,ts\n")
    options = {"": "news.csv", "--source": "s", "--stream": "micro", "--published": "ts"}
    options |= {"--db-url": "postgresql://127.0.0.1:9/x"} | changes
    words = [word for option in options.items() for word in option if word]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert said in done.output


def test_the_funding_command_wants_symbols_and_a_start():
    done = CliRunner().invoke(funding_command.app, ["--exchange", "hyperliquid"])
    assert done.exit_code == 2


@pytest.mark.req("S1-214")
async def test_the_funding_of_hyperliquid_is_kept_whole(pool, shared_data):
    """1,038 recorded payments through the real client, in pages of 500; one hour has none."""
    with (shared_data / "hyperliquid_info" / "btc_funding_1h.csv").open() as file:
        paid = [
            {"time": int(row["ts_ms"]), "fundingRate": row["rate"]} for row in csv.DictReader(file)
        ]
    since = datetime(2023, 5, 12, tzinfo=UTC)
    clock = ManualClock(datetime(2023, 7, 17, 21, 30, tzinfo=UTC))
    store = PostgresFundingStore(pool, exchange="hyperliquid")
    async with HyperliquidServer(clock) as server:
        server.coins["BTC"].funding = paid
        source = HyperliquidSource(clock=clock, budget=rate_budget(clock), urls=server.urls)
        fills = [
            await fill_funding(
                source, store, BTC, since=since, until=clock.now(), patience=Patience(clock=clock)
            )
            for _ in range(2)
        ]
        await source.close()
    rates = await store.last(BTC, 2_000)
    assert [rate.rate for rate in rates] == [Decimal(row["fundingRate"]) for row in paid]
    assert [(fill.added, fill.kept) for fill in fills] == [(1_038, 1_038), (0, 1_038)]
    (left,) = fills[-1].left
    assert (left.since, left.payments) == (datetime(2023, 7, 2, 19, tzinfo=UTC), 1)
    hours = {rate.interval / timedelta(hours=1) for rate in rates[1:]}
    assert hours <= {8, 1, 2}
