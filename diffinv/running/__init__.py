"""Loaded models put to work: which part, on which device, and what happens on the way."""
