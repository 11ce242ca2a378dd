"""Commands that end in every unpleasant way."""

from diffinv.hookspecs import hookimpl


@hookimpl
def register_commands(cli):
    @cli.command()
    def crash():
        raise RuntimeError("first line\nsecond line")

    @cli.command()
    def interrupt():
        raise KeyboardInterrupt
