"""Loaded models at work: which part, on which device, and the progress they make."""
