"""Plugins of the server, each in a process of its own: found, started, asked, ended, given up."""
