"""Scores for image analogies, and their intervals."""
