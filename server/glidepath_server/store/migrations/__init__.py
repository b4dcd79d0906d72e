"""Hand-written revisions of the schema; `store/migrate.py` decides what is applied."""
