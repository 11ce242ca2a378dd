"""Text that would colour the terminal, or vanish, if it were not printed as it is."""

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [
        BackboneSpec(
            id="hostile",
            title="[bold]not bold[/bold]",
            factory="hostile:load",
            description="\x1b[31mred\x1b[0m :smile: [link=x]",
        )
    ]


def load(weights, device):
    raise OSError("no such weights")
