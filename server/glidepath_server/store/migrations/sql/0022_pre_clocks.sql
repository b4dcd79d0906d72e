alter table worker_session
    add column clock_offset_seconds double precision,  -- the database's clock minus its host's; null: it has not said
    add column clock_bound_seconds double precision;   -- within which that is known
