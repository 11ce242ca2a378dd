"""Many differences learned at once, on all machines of an engine; each is kept as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..api import Model
from ..difference import Difference
from ..engines import Engine
from ..errors import DiffinvError
from ..pictures.reading import pixel_hash, read_picture
from ..running.lesson import read_lesson
from ..running.models import Models, choose_device, deterministic
from ..running.progress import Meter, ignore
from ..storage.store import Library
from .planning import inversion_parts, name_of, open_library
from .requests import InvertRequest

OnLearned = Callable[[InvertRequest, "Difference | str"], None]


class InversionWork:
    """A worker, wherever it is: learns one request after another with the model of the first."""

    def __init__(self, first: InvertRequest) -> None:
        device = choose_device(first.device)
        models = Models()
        models.use_memory(first.memory)
        with deterministic(first.settings.seed, device):
            self._model = Model(*inversion_parts(first), device, models)

    def __call__(self, request: InvertRequest) -> Difference | str:
        """The difference, or why there is none."""
        try:
            name = name_of(request)
            lesson = read_lesson(name, request.pairs, request.captions, request.tags)
            (learned,) = self._model.learn([lesson], request.settings, Meter(ignore))
        except DiffinvError as error:
            return str(error)
        return learned


def learn_many(
    engine: Engine, requests: Sequence[InvertRequest], on_learned: OnLearned
) -> Iterator[str]:
    """Learn every difference and add it to the library as it arrives; yields the faults.

    The requests share their model. Tokens are those that each request alone would give, bit for bit
    on devices of the same kind.
    """
    library = open_library(requests[0].library)
    without = next((request for request in requests if not request.captions), requests[0])
    with engine.started(partial(InversionWork, without)) as pool:
        for place, found in pool.run(requests):
            if isinstance(found, Difference):
                library.add(found)
            else:
                yield f"{name_of(requests[place])}: {found}"
            on_learned(requests[place], found)


def is_learned(library: Library, request: InvertRequest) -> bool:
    """Whether the library has a difference of the request's name from the same pictures. Raises
    DiffinvError if it has one of that name from others."""
    name = name_of(request)
    info = next((entry.info for entry in library.entries() if entry.name == name), None)
    if info is None:
        return False
    hashes = tuple(
        (pixel_hash(read_picture(a, "A")), pixel_hash(read_picture(b, "A′")))
        for a, b in request.pairs
    )
    if info.pair_hashes == hashes:
        return True
    raise DiffinvError(
        f"The library already has a difference {name!r}, from other pictures; give the row another "
        "id."
    )
