"""One file per theme; each judge is a pure function from facts to a verdict."""
