"""The diorama plugin: a small picture world and a real text-to-image model trained on it."""
