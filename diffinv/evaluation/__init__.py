"""Scores of image analogies and their intervals."""
