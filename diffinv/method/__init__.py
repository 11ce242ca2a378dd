"""The paper, one file per step. Everything here is batch first and knows only the contracts."""
