-- Longer bars without continuous aggregates: folded with every put.

CREATE FUNCTION bars_changed(
    of_exchange text, of_symbol text, since timestamptz, until timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fold_bars(of_exchange, of_symbol, since, until);
    RETURN false;
END
$$;

CREATE PROCEDURE refresh_rollups(since timestamptz, until timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    NULL;  -- they are never stale here
END
$$;

DO $$
DECLARE
    size text;
    width interval;
BEGIN
    FOR size, width IN
        VALUES ('5m', interval '5 minutes'), ('15m', interval '15 minutes'),
               ('30m', interval '30 minutes'), ('1h', interval '1 hour'),
               ('4h', interval '4 hours'), ('12h', interval '12 hours'),
               ('1d', interval '24 hours'), ('1w', interval '168 hours')
    LOOP
        EXECUTE format(
            'CREATE VIEW %I AS
             SELECT exchange, symbol, closed_at, closed_at - %L::interval AS first_close,
                    open, high, low, close, volume, turnover, trades,
                    turnover / nullif(volume, 0) AS vwap, minutes, first_at, last_at
             FROM kept_bars WHERE timeframe = %L',
            'bars_' || size, width - interval '1 minute', size
        );
    END LOOP;
END
$$;

SELECT fold_bars(exchange, symbol, min(closed_at), max(closed_at))
FROM bars GROUP BY exchange, symbol;
