"""The terminal app: a Textual front end over the library and the jobs of diffinv."""
