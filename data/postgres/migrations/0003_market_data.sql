-- What is kept of the market beside bars, and of our own account at a venue.

-- `bars` holds one-minute bars only, and everything longer is made of them. Longer bars that came
-- from outside stand apart: they count before what our minutes make, and are never dropped.
CREATE TABLE given_bars (
    exchange text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    closed_at timestamptz NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    turnover numeric,
    trades bigint,
    PRIMARY KEY (exchange, symbol, timeframe, closed_at)
);

INSERT INTO given_bars (exchange, symbol, timeframe, closed_at, open, high, low, close, volume)
SELECT exchange, symbol, timeframe, closed_at, open, high, low, close, volume
FROM bars WHERE timeframe <> '1m';

DELETE FROM bars WHERE timeframe <> '1m';

ALTER TABLE bars
    DROP CONSTRAINT bars_pkey,
    DROP COLUMN timeframe,
    ADD COLUMN turnover numeric,  -- in quote currency; NULL is unknown
    ADD COLUMN trades bigint,
    ADD PRIMARY KEY (exchange, symbol, closed_at);

CREATE TABLE trades (
    exchange text NOT NULL,
    symbol text NOT NULL,
    traded_at timestamptz NOT NULL,
    trade_id bigint NOT NULL,
    side text NOT NULL,  -- the taker's: buy, sell
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    buyer text,
    seller text,
    PRIMARY KEY (exchange, symbol, traded_at, trade_id)
);

-- The best levels, best first; the two arrays of a side are equally long.
CREATE TABLE books (
    exchange text NOT NULL,
    symbol text NOT NULL,
    at timestamptz NOT NULL,
    bid_prices numeric[] NOT NULL,
    bid_quantities numeric[] NOT NULL,
    ask_prices numeric[] NOT NULL,
    ask_quantities numeric[] NOT NULL,
    PRIMARY KEY (exchange, symbol, at)
);

CREATE TABLE funding (
    exchange text NOT NULL,
    symbol text NOT NULL,
    at timestamptz NOT NULL,  -- when it is paid
    seen_at timestamptz NOT NULL,
    rate numeric NOT NULL,  -- share of notional for one interval
    interval interval NOT NULL,
    mark_price numeric,
    PRIMARY KEY (exchange, symbol, at)
);

CREATE TABLE news (
    source text NOT NULL,
    stream text NOT NULL,
    url text NOT NULL,
    title text NOT NULL,
    published_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL,
    known_at timestamptz NOT NULL GENERATED ALWAYS AS (greatest(published_at, first_seen_at)) STORED
);

-- By digest: an address with a title may be longer than an entry of an index.
CREATE UNIQUE INDEX news_key ON news (source, md5(url), md5(title));
CREATE INDEX news_by_known_at ON news (known_at);

-- Own trades and ledger entries as Kraken words them; ids are its texts.
CREATE TABLE private_trades (
    exchange text NOT NULL,
    trade_id text NOT NULL,
    order_id text NOT NULL,
    pair text NOT NULL,
    traded_at timestamptz NOT NULL,
    side text NOT NULL,
    order_type text NOT NULL,
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    cost numeric NOT NULL,
    fee numeric NOT NULL,
    margin numeric NOT NULL,
    misc text NOT NULL,
    PRIMARY KEY (exchange, trade_id)
);

CREATE INDEX private_trades_by_time ON private_trades (exchange, traded_at);

CREATE TABLE ledger_entries (
    exchange text NOT NULL,
    ledger_id text NOT NULL,
    refid text NOT NULL,
    at timestamptz NOT NULL,
    type text NOT NULL,
    subtype text NOT NULL,
    asset text NOT NULL,
    amount numeric NOT NULL,
    fee numeric NOT NULL,
    balance numeric NOT NULL,
    PRIMARY KEY (exchange, ledger_id)
);

CREATE INDEX ledger_entries_by_time ON ledger_entries (exchange, at);

-- How far each collector has come, in whatever words the venue pages by.
CREATE TABLE collector_progress (
    collector text NOT NULL,
    exchange text NOT NULL,
    symbol text NOT NULL,
    cursor text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (collector, exchange, symbol)
);
