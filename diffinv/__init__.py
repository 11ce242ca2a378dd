"""diffinv: learn the difference between two pictures and apply it to any other."""

__version__ = "0.1.0"
