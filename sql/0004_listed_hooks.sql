-- The hooks that are there, as they are listed. Deleted ones stay for as long as their attempts do, and of a hook that
-- a script makes and deletes all day there are thousands.
CREATE INDEX hooks_listed ON hooks (account_id, key) WHERE deleted IS NULL;
