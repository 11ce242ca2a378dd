"""A captioner that fetches its weights itself, half of them at a time."""

from pathlib import Path

from diffinv.contracts import CaptionerSpec
from diffinv.hookspecs import hookimpl

fails = None
began_with = []


@hookimpl
def register_captioners():
    return [
        CaptionerSpec(
            id="fetches",
            title="From a tape",
            factory="fetches:Captioner",
            fetch="fetches:fetch",
            size_mb=1,
        )
    ]


def fetch(folder: Path, report) -> None:
    weights = folder / "weights"
    began_with.append(weights.stat().st_size if weights.exists() else 0)
    for _ in range(0, 1_000_000 - began_with[-1], 500_000):
        with weights.open("ab") as file:
            file.write(bytes(500_000))
        report(weights.stat().st_size, 1_000_000)
        if fails:
            raise fails


class Captioner:
    id = "fetches"

    def __init__(self, weights, device):
        from diffinv.system.local_models import fetched_folder

        self.folder = fetched_folder("captioner", "fetches")

    def caption(self, images):
        return ["a picture" for _ in images]
