-- What grows without end becomes chunks of time.
SELECT create_hypertable('bars', by_range('closed_at', INTERVAL '7 days'), migrate_data => true);
SELECT create_hypertable('trades', by_range('traded_at', INTERVAL '1 day'), migrate_data => true);
SELECT create_hypertable('books', by_range('at', INTERVAL '1 day'), migrate_data => true);
