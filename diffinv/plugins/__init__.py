"""Finds, checks, loads, switches off and installs plugins."""
