"""The wire: one thin servicer per service, authorization, errors on their way out."""
