"""Installed plugins: found, checked, loaded one by one, switched off, installed."""
