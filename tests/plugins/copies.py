"""Methods of comparison: one that copies A', one that fails; and a world of plain walls."""

from PIL import Image

from diffinv.contracts import MethodSpec, Triplet, WorldSpec
from diffinv.errors import DiffinvError
from diffinv.hookspecs import hookimpl


@hookimpl
def register_methods():
    return [
        MethodSpec("copy-a-prime", "Copy of A'", "copies:Copy", settings={"grey": False}),
        MethodSpec("fails", "Fails", "copies:Fails"),
        MethodSpec("wary", "Wary", "copies:Wary", many=True),
    ]


@hookimpl
def register_worlds():
    return [WorldSpec("walls", "Walls", "copies:Walls", cases=("plain", "dark"))]


class Copy:
    def __init__(self, bench, weights, grey=False):
        self.grey = grey

    def complete(self, triplet, seed):
        return triplet.a_prime.convert("L" if self.grey else "RGB")


class Fails:
    def __init__(self, bench, weights):
        pass

    def complete(self, triplet, seed):
        if triplet.id.endswith("1"):
            raise DiffinvError("it does not like odd walls.")
        raise ValueError("<b>markup</b>")


class Wary:
    """Green for walls that go together, and white for one alone."""

    def __init__(self, bench, weights):
        pass

    def complete(self, triplet, seed):
        if triplet.id.endswith("3"):
            raise DiffinvError("it does not like this wall.")
        return Image.new("RGB", (96, 96), "white")

    def complete_many(self, triplets, seed):
        for triplet in triplets:
            self.complete(triplet, seed)
        return [Image.new("RGB", (96, 96), "lime") for _ in triplets]


class Walls:
    cases = ("plain", "dark")

    def __init__(self, device):
        pass

    def triplets(self, count, seed, case):
        walls = {"a": "white", "a_prime": "red", "b": "silver", "b_prime": "red"}
        pictures = {name: Image.new("RGB", (96, 96), colour) for name, colour in walls.items()}
        return [Triplet(f"{case}-{seed}-{i}", **pictures) for i in range(count)]

    def judge(self, triplet, answers):
        red = (255, 0, 0)
        return [{"right": float(answer.getpixel((0, 0)) == red)} for answer in answers]
