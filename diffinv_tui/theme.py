"""The app's own themes: amber is before, teal is after."""

from __future__ import annotations

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="diffinv",
    primary="#4ec9b0",
    secondary="#e9a96b",
    accent="#e9a96b",
    foreground="#d7dce2",
    background="#11151a",
    surface="#171c23",
    panel="#1f262f",
    success="#7fc97f",
    warning="#e5c07b",
    error="#e0716c",
    dark=True,
    variables={
        "footer-key-foreground": "#e9a96b",
        "footer-background": "#1f262f",
        "footer-description-foreground": "#aab4bf",
        "border-blurred": "#2b343f",
        "block-cursor-text-style": "none",
        "input-selection-background": "#4ec9b0 35%",
    },
)

LIGHT = Theme(
    name="diffinv-light",
    primary="#0f7f70",
    secondary="#a85a12",
    accent="#a85a12",
    foreground="#1f2933",
    background="#fbfaf7",
    surface="#f2f0eb",
    panel="#e6e3dc",
    success="#2f7d32",
    warning="#8a6100",
    error="#b3261e",
    dark=False,
    variables={
        "footer-key-foreground": "#a85a12",
        "footer-background": "#e6e3dc",
        "footer-description-foreground": "#4a5560",
        "block-cursor-text-style": "none",
    },
)


def in_colour(colour: str) -> Style:
    """A theme's colour for rich texts, which do not know the names of the terminal's own ones."""
    return Style(color=Color.parse(colour).rich_color)
