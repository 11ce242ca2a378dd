"""Works, but talks while it is imported and while it is asked."""

import sys

from diffinv.contracts import EditorSpec
from diffinv.hookspecs import hookimpl

print("noise on stdout")
print("noise on stderr", file=sys.stderr)


@hookimpl
def register_editors():
    print("more noise")
    return [EditorSpec(id="noisy", title="Noisy", factory="prints:load")]


def load():
    return "noisy editor"
