"""The glidepath command."""
