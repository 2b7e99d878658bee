-- Longer bars made of one-minute bars. A bar belongs to the bucket of the minute before its close;
-- buckets open at multiples of their width from a Monday on. Widths are in hours, not days: a day
-- of a session's time zone may have 23.

CREATE TABLE kept_bars (
    exchange text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    closed_at timestamptz NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    turnover numeric,  -- one unknown part leaves the whole unknown
    trades bigint,
    minutes bigint NOT NULL,  -- one-minute bars in it
    first_at timestamptz NOT NULL,  -- closes of the first and the last of them
    last_at timestamptz NOT NULL,
    PRIMARY KEY (exchange, symbol, timeframe, closed_at)
) WITH (fillfactor = 80);  -- the newest of each are written every minute

CREATE FUNCTION bucket_close(width interval, closed_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin(width, closed_at - interval '1 minute', '2000-01-03 00:00:00+00') + width;

-- Make every bucket anew that holds a minute which closes in [since, until]. Each size is folded
-- from the one before it. A bucket that was made of more minutes than are left stays as it is.
-- Prices are those of bars with trades; one that is known to be without repeats an older close,
-- which counts only where its whole bucket was without.
CREATE FUNCTION fold_bars(
    of_exchange text, of_symbol text, since timestamptz, until timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    size text;
    part text;
    width interval;
BEGIN
    INSERT INTO kept_bars AS kept
    SELECT of_exchange, of_symbol, '5m', bucket_close('5 minutes', closed_at) AS bucket,
           (array_agg(open ORDER BY trades IS NOT DISTINCT FROM 0, closed_at))[1],
           coalesce(max(high) FILTER (WHERE trades IS DISTINCT FROM 0), max(high)),
           coalesce(min(low) FILTER (WHERE trades IS DISTINCT FROM 0), min(low)),
           (array_agg(close ORDER BY trades IS NOT DISTINCT FROM 0, closed_at DESC))[1],
           sum(volume),
           CASE WHEN count(turnover) = count(*) THEN sum(turnover) END,
           CASE WHEN count(trades) = count(*) THEN sum(trades) END,
           count(*), min(closed_at), max(closed_at)
    FROM bars
    WHERE exchange = of_exchange AND symbol = of_symbol
      AND closed_at > bucket_close('5 minutes', since) - interval '5 minutes'
      AND closed_at <= bucket_close('5 minutes', until)
    GROUP BY bucket
    ON CONFLICT (exchange, symbol, timeframe, closed_at) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, turnover = excluded.turnover, trades = excluded.trades,
        minutes = excluded.minutes, first_at = excluded.first_at, last_at = excluded.last_at
    WHERE excluded.minutes >= kept.minutes
      AND (kept.open, kept.high, kept.low, kept.close, kept.volume, kept.turnover, kept.trades,
           kept.minutes, kept.first_at, kept.last_at)
          IS DISTINCT FROM
          (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
           excluded.turnover, excluded.trades, excluded.minutes, excluded.first_at,
           excluded.last_at);

    FOR size, part, width IN
        VALUES ('15m', '5m', interval '15 minutes'), ('30m', '15m', interval '30 minutes'),
               ('1h', '30m', interval '1 hour'), ('4h', '1h', interval '4 hours'),
               ('12h', '4h', interval '12 hours'), ('1d', '12h', interval '24 hours'),
               ('1w', '1d', interval '168 hours')
    LOOP
        INSERT INTO kept_bars AS kept
        SELECT of_exchange, of_symbol, size, bucket_close(width, closed_at) AS bucket,
               (array_agg(open ORDER BY trades IS NOT DISTINCT FROM 0, closed_at))[1],
               coalesce(max(high) FILTER (WHERE trades IS DISTINCT FROM 0), max(high)),
               coalesce(min(low) FILTER (WHERE trades IS DISTINCT FROM 0), min(low)),
               (array_agg(close ORDER BY trades IS NOT DISTINCT FROM 0, closed_at DESC))[1],
               sum(volume),
               CASE WHEN count(turnover) = count(*) THEN sum(turnover) END,
               CASE WHEN count(trades) = count(*) THEN sum(trades) END,
               sum(minutes), min(first_at), max(last_at)
        FROM kept_bars
        WHERE exchange = of_exchange AND symbol = of_symbol AND timeframe = part
          AND closed_at > bucket_close(width, since) - width
          AND closed_at <= bucket_close(width, until)
        GROUP BY bucket
        ON CONFLICT (exchange, symbol, timeframe, closed_at) DO UPDATE
        SET open = excluded.open, high = excluded.high, low = excluded.low,
            close = excluded.close, volume = excluded.volume, turnover = excluded.turnover,
            trades = excluded.trades, minutes = excluded.minutes,
            first_at = excluded.first_at, last_at = excluded.last_at
        WHERE excluded.minutes >= kept.minutes
          AND (kept.open, kept.high, kept.low, kept.close, kept.volume, kept.turnover, kept.trades,
               kept.minutes, kept.first_at, kept.last_at)
              IS DISTINCT FROM
              (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
               excluded.turnover, excluded.trades, excluded.minutes, excluded.first_at,
               excluded.last_at);
    END LOOP;
END
$$;

-- One writer of a symbol's bars at a time: two that fold the same bucket would each miss what the
-- other has put. Lasts until the transaction ends.
CREATE FUNCTION lock_bars(of_exchange text, of_symbol text) RETURNS void
LANGUAGE sql
RETURN pg_advisory_xact_lock(hashtextextended(of_exchange || ' ' || of_symbol, 0));

-- Keep bars, of two with the same key the later one, and bring what is made of them up to date.
-- True where that has to be finished by `refresh_rollups`.
CREATE FUNCTION put_bars(
    of_exchange text, symbols text[], timeframes text[], closes timestamptz[], opens numeric[],
    highs numeric[], lows numeric[], lasts numeric[], volumes numeric[], turnovers numeric[],
    counts bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_bars(of_exchange, symbol)
    FROM (SELECT DISTINCT unnest(symbols) AS symbol ORDER BY symbol) AS given;

    INSERT INTO bars AS kept
    SELECT DISTINCT ON (symbol, closed_at)
           of_exchange, symbol, closed_at, open, high, low, close, volume, turnover, trades
    FROM unnest(symbols, timeframes, closes, opens, highs, lows, lasts, volumes, turnovers, counts)
         WITH ORDINALITY AS given (symbol, timeframe, closed_at, open, high, low, close, volume,
                                   turnover, trades, place)
    WHERE timeframe = '1m'
    ORDER BY symbol, closed_at, place DESC
    ON CONFLICT (exchange, symbol, closed_at) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, turnover = excluded.turnover, trades = excluded.trades
    WHERE (kept.open, kept.high, kept.low, kept.close, kept.volume, kept.turnover, kept.trades)
        IS DISTINCT FROM
        (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
         excluded.turnover, excluded.trades);

    IF '1m' <> ANY (timeframes) THEN
        INSERT INTO given_bars
        SELECT DISTINCT ON (symbol, timeframe, closed_at)
               of_exchange, symbol, timeframe, closed_at, open, high, low, close, volume, turnover,
               trades
        FROM unnest(symbols, timeframes, closes, opens, highs, lows, lasts, volumes, turnovers,
                    counts)
             WITH ORDINALITY AS given (symbol, timeframe, closed_at, open, high, low, close,
                                       volume, turnover, trades, place)
        WHERE timeframe <> '1m'
        ORDER BY symbol, timeframe, closed_at, place DESC
        ON CONFLICT (exchange, symbol, timeframe, closed_at) DO UPDATE
        SET open = excluded.open, high = excluded.high, low = excluded.low,
            close = excluded.close, volume = excluded.volume, turnover = excluded.turnover,
            trades = excluded.trades;
    END IF;

    RETURN (
        SELECT coalesce(bool_or(late), false)
        FROM (
            SELECT bars_changed(of_exchange, symbol, min(closed_at), max(closed_at)) AS late
            FROM unnest(symbols, timeframes, closes) AS given (symbol, timeframe, closed_at)
            WHERE timeframe = '1m'
            GROUP BY symbol
        ) AS changed
    );
END
$$;
