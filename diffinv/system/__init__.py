"""What everything else builds on: files, database, paths, text, streams. No pictures or models."""
