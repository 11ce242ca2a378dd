"""The app in a web browser, through textual-serve."""

from __future__ import annotations

import ipaddress
import shlex
import socket
import sys

from diffinv.errors import DiffinvError, UsageError

LOOPBACK = "localhost"


def serve(host: str, port: int) -> int:
    """Serve until it is interrupted. Raises DiffinvError where that cannot be."""
    try:
        from textual_serve.server import Server
    except ImportError as error:
        raise DiffinvError(
            "Serving needs textual-serve; install it with: pip install 'diffinv[serve]'"
        ) from error
    _check_free(host, port)
    print(f"diffinv-tui is at http://{host}:{port}", file=sys.stderr)
    print(who_can_reach(host), file=sys.stderr)
    command = shlex.join([sys.executable, "-P", "-m", "diffinv_tui", "--pictures", "blocks"])
    Server(command, host=host, port=port, title="diffinv").serve()
    return 0


def who_can_reach(host: str) -> str:
    """Who can use what is served: everybody who does can read this user's pictures."""
    if is_loopback(host):
        return "Only this machine can reach it. Ctrl+C stops it."
    return (
        "Everybody who reaches this address can use it as you, without a password, and look at "
        "your files. Leave --host out to keep it to this machine. Ctrl+C stops it."
    )


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine only."""
    if host == LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"Cannot listen at {host}:{port} ({reason}); choose another --port."
        ) from error
