"""How long hypothesis searches. A failing example prints the line that repeats it."""

from __future__ import annotations

from hypothesis import settings

# No deadline per example: a busy machine is not a failure, and a hang is caught by pytest's timeout.
settings.register_profile("test", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("prove", parent=settings.get_profile("test"), max_examples=3000)
settings.load_profile("test")
