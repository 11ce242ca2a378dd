"""What every room stands on: files, the database, paths, text, streams. No pictures, no models."""
