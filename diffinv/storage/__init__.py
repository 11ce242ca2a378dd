"""The library: a folder of difference files."""
