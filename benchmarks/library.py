"""How fast the library answers with many differences in it.

The goals, with 10,000 differences: every search in at most 0.1 s; a new process lists its first
page in well under a second.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from diffinv.difference import Difference, DifferenceInfo, to_bytes
from diffinv.pictures.writing import to_webp
from diffinv.storage.index import FILE
from diffinv.storage.store import Library

WORDS = [
    "cabin",
    "castle",
    "bridge",
    "river",
    "sunset",
    "snow",
    "tower",
    "field",
    "forest",
    "harbour",
    "lamp",
    "road",
    "stone",
]
QUERIES = ("", "cas", "castle bri", "tag:snow", "backbone:sdxl created:>2025-06", "nothing")


def thumbnail(seed: int) -> bytes:
    """A picture with some detail, as large as real thumbnails."""
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    return to_webp(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC))


def fill(folder: Path, count: int) -> None:
    """Add typical differences, including thumbnails."""
    rng = random.Random(0)
    thumbnails = [thumbnail(i) for i in range(16)]
    folder.mkdir(parents=True)
    for i in range(count):
        a, b, tag = rng.choices(WORDS, k=3)
        info = DifferenceInfo(
            name=f"{a} to {b} {i}",
            backbone=rng.choice(["diorama", "sdxl", "sd21"]),
            backbone_weights="w" * 64,
            token_space="additive",
            tags=(tag,),
            date=f"202{rng.randrange(4, 7)}-{rng.randrange(1, 13):02}-15T00:00:00+00:00",
            captions=((f"a picture of a {a}", f"a picture of a {b}"),),
            prompts=((f"a picture of a {a}", f"a picture of a {b}"),),
            settings={"steps": 40, "lr": 0.1, "seed": i},
        )
        tokens = np.full((1, 160), i, np.float32)
        zeros = np.zeros((40, 3), np.float32)
        pictures = dict(zip(("a", "a_prime", "preview"), rng.choices(thumbnails, k=3), strict=True))
        data, _ = to_bytes(Difference(info, tokens, tokens[0, :128], zeros, pictures))
        (folder / f"{i}.safetensors").write_bytes(data)


def median(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=11)
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp())
    try:
        measure(home / "library", given.count, given.rounds)
    finally:
        shutil.rmtree(home)


def measure(folder: Path, count: int, rounds: int) -> None:
    fill(folder, count)
    library = Library(folder)
    print(f"{count} differences, index made anew: {median(library.count, 1):.2f} s")
    print(f"index: {(folder / FILE).stat().st_size / 2**20:.1f} MB")
    for query in QUERIES:
        seconds = median(lambda query=query: library.search(query, limit=100), rounds)
        print(f"search {query!r}, first 100 of {library.count(query)}: {seconds * 1000:.0f} ms")
    print(f"all entries: {median(library.entries, rounds) * 1000:.0f} ms")
    print(f"tags: {median(library.tags, rounds) * 1000:.0f} ms")
    code = (
        "import sys; from pathlib import Path; from diffinv.storage.store import Library; "
        "Library(Path(sys.argv[1])).search(limit=100)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    fresh = median(lambda: subprocess.run(command, check=True), 5)
    print(f"a new process, first page: {fresh * 1000:.0f} ms")


if __name__ == "__main__":
    main()
