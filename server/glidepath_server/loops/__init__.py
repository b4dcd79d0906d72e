"""Level-triggered loops: a wake-up only makes them early."""
