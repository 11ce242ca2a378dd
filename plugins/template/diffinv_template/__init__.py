"""A backbone plugin for diffinv, to copy."""
