-- When somebody last queued a delivery again: its age is held against none of its tries then.
ALTER TABLE deliveries ADD COLUMN queued_again INTEGER;
UPDATE deliveries SET queued_again = due_at WHERE attempts = 0 AND due_at > occurred_at;

-- `due_at` is in the order of ids from the beginning, which `occurred_at` is not: it does not tell what was put off.
DROP INDEX deliveries_postponed;
CREATE INDEX deliveries_postponed ON deliveries (queue, lane, id)
    WHERE due_at IS NOT NULL AND (attempts > 0 OR queued_again IS NOT NULL);
