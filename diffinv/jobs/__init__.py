"""Requests from front ends, and the tasks that carry them out. Only :mod:`.tasks` loads models."""
