"""Somebody presses Ctrl-C while it is being loaded."""

import signal

signal.raise_signal(signal.SIGINT)
