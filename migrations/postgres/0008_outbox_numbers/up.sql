CREATE OR REPLACE FUNCTION millstream_outbox_number() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state record;
BEGIN
    -- Held until the transaction has committed and drawn before the number, so that numbers of a key rise in commit order.
    IF NEW.order_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(NEW.target || ' ' || NEW.order_key, 0));
    END IF;
    -- Whoever has drawn a number has a transaction id that snapshots show as running, so the relay knows below which numbers no
    -- row can appear any more.
    PERFORM pg_current_xact_id();
    NEW.seq := nextval('millstream_outbox_seq');
    SELECT s.ceiling, s.most INTO state FROM millstream_outbox_state s;
    IF NEW.seq > state.ceiling THEN
        RAISE EXCEPTION 'the outbox is full: up to % rows may wait', state.most
            USING ERRCODE = 'configuration_limit_exceeded', HINT = 'Is a relay running, and does it reach Redis?';
    END IF;
    RETURN NEW;
END $$;
