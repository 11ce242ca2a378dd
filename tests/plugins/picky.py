"""A backbone that likes red pictures alone."""

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    parts = {"captioner": "toy", "delta_encoder": "toy", "factory": "picky:load"}
    return [
        BackboneSpec(
            id="picky", title="Picky", resolution=16, suits="picky:suits", purpose="Reds.", **parts
        ),
        BackboneSpec(id="dumb", title="Dumb", suits="picky:nothing", **parts),
        BackboneSpec(id="heavy", title="Heavy", suits="picky:chatter", **parts),
    ]


def suits(glimpses):
    pixels = [glimpse.thumbnail.resize((1, 1)).getpixel((0, 0)) for glimpse in glimpses]
    odd = sum(red < max(green, blue) for red, green, blue in pixels)
    return [f"{odd} of {len(glimpses)} pictures are not red."] if odd else []


def chatter(glimpses):
    return f"{len(glimpses)}\n"


def load(weights, device):
    from toy_model import Toy

    made = Toy(weights, device)
    made.id = "picky"
    return made
