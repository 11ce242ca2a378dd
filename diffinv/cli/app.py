"""The ``diffinv`` command: its subcommands, and how an error becomes one sentence."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence

import click

from .. import __version__
from ..errors import DiffinvError
from ..plugins.switches import ONLY_OWN
from .again import again
from .apply import apply
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .invert import invert
from .jobs import jobs
from .library import library
from .models import models
from .output import complain
from .plugin_commands import ExtensibleGroup
from .plugins import plugins
from .show import show

_state = {"debug": False}


def _set_debug(_ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    _state["debug"] = value


def _leave_plugins_out(_ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    """Set in the environment, so that it also holds for processes started from here."""
    if value:
        os.environ[ONLY_OWN] = "1"


@click.group(
    cls=ExtensibleGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show where in the program an error comes from.",
)
@click.option(
    "--no-plugins",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_leave_plugins_out,
    help="Switch third-party plugins off for this command.",
)
@click.version_option(__version__, prog_name="diffinv")
def cli() -> None:
    """Learn the difference between two pictures and apply it to any other."""


for command in (demo, invert, apply, again, show, library, models, jobs, plugins, evaluate, doctor):
    cli.add_command(command)


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code: 0 done, 1 failed, 2 misused, 130 interrupted."""
    try:
        result = cli.main(args=args, prog_name="diffinv", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(_sentence(error), error.exit_code)
    except click.Abort as error:
        if isinstance(error.__cause__, KeyboardInterrupt) and error.__cause__.args:
            complain(str(error.__cause__))
        return 130
    except DiffinvError as error:
        return _fail(str(error), error.exit_code)
    except Exception as error:
        text = " ".join(str(error).split())
        sentence = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return _fail(f"{sentence.rstrip('.')} (run again as 'diffinv --debug ...' for details).", 1)
    return result if isinstance(result, int) else 0


def _fail(sentence: str, exit_code: int) -> int:
    """Say what went wrong on stderr. Call it while the exception is being handled."""
    if _state["debug"]:
        traceback.print_exc()
    complain(f"Error: {sentence}")
    return exit_code


def _sentence(error: click.ClickException) -> str:
    """What is wrong with a command line, in one sentence that points to the help."""
    message = " ".join(error.format_message().split()).rstrip(".")
    ctx = getattr(error, "ctx", None)
    return f"{message}; see '{ctx.command_path} --help'." if ctx else f"{message}."
