-- Longer bars as continuous aggregates, as far back as the minutes they are made of are kept. A
-- refresh over minutes that were dropped would erase what had been made of them, for every symbol
-- at once. So before a week's minutes are dropped it is folded into `kept_bars` and sealed; what
-- is put into a sealed week later is folded there, too, and no refresh goes past the seal.

CREATE TABLE bars_sealed (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    until timestamptz NOT NULL  -- a Monday
);
INSERT INTO bars_sealed (until) VALUES ('-infinity');

CREATE FUNCTION sealed_until() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT until FROM bars_sealed);

SELECT create_hypertable('kept_bars', by_range('closed_at', INTERVAL '364 days'));
ALTER TABLE kept_bars SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'exchange, symbol, timeframe',
    timescaledb.compress_orderby = 'closed_at'
);
ALTER TABLE bars SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'exchange, symbol',
    timescaledb.compress_orderby = 'closed_at'
);
ALTER TABLE trades SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'exchange, symbol',
    timescaledb.compress_orderby = 'traded_at, trade_id'
);
SELECT add_compression_policy('bars', compress_after => INTERVAL '30 days');
SELECT add_compression_policy('trades', compress_after => INTERVAL '7 days');
SELECT add_compression_policy('kept_bars', compress_after => INTERVAL '728 days');

-- A bucket is named by the close of its first minute, because no aggregate can shift the column of
-- its time; with this origin the buckets are those of `bucket_close`. Asked for a bound on
-- `first_close`, and not on `closed_at`, it reads no more chunks than it must. Its prices are those
-- of `fold_bars`.
DO $$
DECLARE
    size text;
    part text;
    width interval;
    since interval;
    every interval;
    is_first boolean;
BEGIN
    FOR size, part, width, since, every IN
        VALUES ('5m', 'bars', interval '5 minutes', interval '7 days', interval '5 minutes'),
               ('15m', 'bars', interval '15 minutes', interval '7 days', interval '15 minutes'),
               ('30m', 'bars', interval '30 minutes', interval '7 days', interval '30 minutes'),
               ('1h', 'bars', interval '1 hour', interval '7 days', interval '1 hour'),
               ('4h', 'live_bars_1h', interval '4 hours', interval '30 days', interval '4 hours'),
               ('12h', 'live_bars_1h', interval '12 hours', interval '30 days', interval '12 hours'),
               ('1d', 'live_bars_1h', interval '24 hours', interval '30 days', interval '1 day'),
               ('1w', 'live_bars_1d', interval '168 hours', interval '90 days', interval '7 days')
    LOOP
        is_first := part = 'bars';
        EXECUTE format(
            $view$
            CREATE MATERIALIZED VIEW %1$I
            WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
            SELECT exchange, symbol,
                   time_bucket(%3$L::interval, %4$I, '2000-01-03 00:01:00+00'::timestamptz)
                       AS first_close,
                   time_bucket(%3$L::interval, %4$I, '2000-01-03 00:01:00+00'::timestamptz)
                       + %5$L::interval AS closed_at,
                   coalesce(first(open, %4$I) FILTER (WHERE trades IS DISTINCT FROM 0),
                            first(open, %4$I)) AS open,
                   coalesce(max(high) FILTER (WHERE trades IS DISTINCT FROM 0), max(high)) AS high,
                   coalesce(min(low) FILTER (WHERE trades IS DISTINCT FROM 0), min(low)) AS low,
                   coalesce(last(close, %4$I) FILTER (WHERE trades IS DISTINCT FROM 0),
                            last(close, %4$I)) AS close,
                   sum(volume) AS volume,
                   CASE WHEN count(turnover) = count(*) THEN sum(turnover) END AS turnover,
                   CASE WHEN count(trades) = count(*) THEN sum(trades) END::bigint AS trades,
                   %6$s::bigint AS minutes, min(%7$I) AS first_at, max(%8$I) AS last_at
            FROM %2$I
            GROUP BY exchange, symbol, 3
            WITH NO DATA
            $view$,
            'live_bars_' || size, part, width,
            CASE WHEN is_first THEN 'closed_at' ELSE 'first_close' END,
            width - interval '1 minute',
            CASE WHEN is_first THEN 'count(*)' ELSE 'sum(minutes)' END,
            CASE WHEN is_first THEN 'closed_at' ELSE 'first_at' END,
            CASE WHEN is_first THEN 'closed_at' ELSE 'last_at' END
        );
        EXECUTE format(
            $view$
            CREATE VIEW %1$I AS
            SELECT exchange, symbol, closed_at, closed_at - %3$L::interval AS first_close,
                   open, high, low, close, volume, turnover, trades,
                   turnover / nullif(volume, 0) AS vwap, minutes, first_at, last_at
            FROM kept_bars WHERE timeframe = %4$L AND closed_at <= sealed_until()
            UNION ALL
            SELECT exchange, symbol, closed_at, first_close,
                   open, high, low, close, volume, turnover, trades,
                   turnover / nullif(volume, 0), minutes, first_at, last_at
            FROM %2$I WHERE first_close > sealed_until()
            $view$,
            'bars_' || size, 'live_bars_' || size, width - interval '1 minute', size
        );
        PERFORM add_continuous_aggregate_policy(
            ('live_bars_' || size)::regclass, start_offset => since,
            end_offset => greatest(width, interval '1 hour'), schedule_interval => every
        );
    END LOOP;
END
$$;

-- How far each aggregate is materialised, as the name of a bucket; what comes later is made of the
-- minutes when it is asked for.
CREATE VIEW rollups AS
SELECT place, relation, width,
       coalesce(
           _timescaledb_functions.to_timestamp(
               _timescaledb_functions.cagg_watermark(mat_hypertable_id)
           ),
           '-infinity'
       ) AS reach
FROM (VALUES (1, 'live_bars_5m', interval '5 minutes'), (2, 'live_bars_15m', '15 minutes'),
             (3, 'live_bars_30m', '30 minutes'), (4, 'live_bars_1h', '1 hour'),
             (5, 'live_bars_4h', '4 hours'), (6, 'live_bars_12h', '12 hours'),
             (7, 'live_bars_1d', '24 hours'), (8, 'live_bars_1w', '168 hours'))
         AS level (place, relation, width)
JOIN _timescaledb_catalog.continuous_agg
    ON user_view_name = relation AND user_view_schema = current_schema();

CREATE FUNCTION bars_changed(
    of_exchange text, of_symbol text, since timestamptz, until timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    seal timestamptz := sealed_until();
BEGIN
    IF since <= seal THEN
        PERFORM fold_bars(of_exchange, of_symbol, since, least(until, seal));
    END IF;
    RETURN until > seal AND since < (SELECT max(reach) FROM rollups);
END
$$;

-- Refreshes the buckets named in [since, past). The window begins one bucket early: TimescaleDB
-- shrinks windows to whole buckets, some versions without regard to where ours begin.
CREATE PROCEDURE refresh_rollup(
    relation text, width interval, since timestamptz, past timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    IF since < past THEN
        CALL refresh_continuous_aggregate(
            relation::regclass, nullif(since, '-infinity') - width, past
        );
    END IF;
END
$$;

-- Make anew what is materialised of the minutes that close in [since, until].
CREATE PROCEDURE refresh_rollups(since timestamptz, until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    rollup record;
BEGIN
    FOR rollup IN SELECT * FROM rollups ORDER BY place LOOP
        CALL refresh_rollup(
            rollup.relation, rollup.width,
            greatest(bucket_close(rollup.width, since) - rollup.width, sealed_until())
                + interval '1 minute',
            least(bucket_close(rollup.width, until) + interval '1 minute', rollup.reach)
        );
    END LOOP;
END
$$;

-- Materialise what is over at `until`, and make good what no refresh has reached since the seal.
CREATE PROCEDURE materialize_rollups(until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    rollup record;
BEGIN
    FOR rollup IN SELECT * FROM rollups ORDER BY place LOOP
        CALL refresh_rollup(
            rollup.relation, rollup.width,
            sealed_until() + interval '1 minute',
            bucket_close(rollup.width, until) - rollup.width + interval '1 minute'
        );
    END LOOP;
END
$$;
