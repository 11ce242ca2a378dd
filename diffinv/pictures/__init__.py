"""Pictures: read with care, brought to one colour space, framed, written, put on a sheet."""
