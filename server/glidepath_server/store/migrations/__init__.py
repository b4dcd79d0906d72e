"""Hand-written revisions of the schema; `store/migrate.py` decides what is applied.

To change the schema: edit `store/schema.sql`, the truth; write the way there as `sql/NNNN_pre_name.sql` (safe before
the new code runs) or `sql/NNNN_post_name.sql` (safe only after the old code is gone), with a file of the same name in
`versions/` that runs it. `tests/upgrade` proves that the revisions end exactly at `schema.sql`. A revision that has
been released is never edited.
"""
