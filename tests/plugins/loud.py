"""Works, but talks past sys.stdout while it is imported, asked and made."""

import os
import subprocess
import sys

from diffinv.contracts import EditorSpec
from diffinv.hookspecs import hookimpl


def talk(when):
    print(f"{when}: by sys.__stdout__", file=sys.__stdout__)
    print(f"{when}: by sys.__stderr__", file=sys.__stderr__)
    os.write(1, f"{when}: by descriptor 1\n".encode())
    os.write(2, f"{when}: by descriptor 2\n".encode())
    subprocess.run(["echo", f"{when}: by a process"], check=True)


talk("import")
sys.__stdout__.close()
os.close(1)
os.close(2)


@hookimpl
def register_editors():
    return [EditorSpec(id="loud", title="Loud", factory="loud:load")]


@hookimpl
def register_commands(cli):
    talk("commands")


def load():
    talk("load")
    return "loud editor"
