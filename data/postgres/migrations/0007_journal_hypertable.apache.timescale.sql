-- The journal grows without end, too. Its rows move into chunks, and the table that they leave is
-- emptied, which the trigger would refuse.
DROP TRIGGER journal_stays ON journal;
SELECT create_hypertable('journal', by_range('at', INTERVAL '7 days'), migrate_data => true);
CREATE TRIGGER journal_stays
    BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
