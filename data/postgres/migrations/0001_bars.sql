-- Closed bars; the key contains the time column, so that the table can become a hypertable.
CREATE TABLE bars (
    exchange text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    closed_at timestamptz NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    PRIMARY KEY (exchange, symbol, timeframe, closed_at)
);
