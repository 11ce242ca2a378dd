"""What threads tell the app."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from textual.app import App


class Call(Message):
    """Something to be done on the app's own thread."""

    def __init__(self, action: Callable[[], Any]) -> None:
        super().__init__()
        self.action = action


def tell(app: App[Any], action: Callable[..., Any], *arguments: Any) -> None:
    """From a thread: let the app do something. Waits for nothing, so that no thread outlives it."""
    with contextlib.suppress(RuntimeError):  # the app has ended
        app.post_message(Call(lambda: action(*arguments)))
