-- The append-only, hash-chained record of everything we learned and did. `body` is the canonical
-- JSON text, byte for byte, because the digest is taken over it; cast it to jsonb to query it.
CREATE TABLE journal (
    name text NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    at timestamptz NOT NULL,
    topic text NOT NULL,
    body text NOT NULL,
    previous text NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (name, seq, at)
);

CREATE INDEX journal_by_topic ON journal (name, topic, at);

CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER journal_rows_stay
    BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();

CREATE TRIGGER journal_stays
    BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
