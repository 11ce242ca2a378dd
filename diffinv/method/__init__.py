"""The paper, a file a step. Everything here is batch first and knows only the contracts."""
