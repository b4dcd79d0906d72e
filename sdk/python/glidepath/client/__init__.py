"""Talking to a Glidepath server."""
