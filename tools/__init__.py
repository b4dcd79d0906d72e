"""Tools of the repository itself: code generation, checks, the demo. Not part of any distribution."""
