"""The toy backbone in a process that kills itself: DIFFINV_TEST_DEATH=EVENT:NUMBER.

EVENT is ``predict`` or one of Python's audit events, such as ``os.rename``; at the NUMBER-th of
them after the model was loaded the process is gone as by ``kill -9``.
"""

import os
import signal
import sys

from toy_model import Toy

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [
        BackboneSpec(
            id="mortal",
            title="Mortal",
            factory="mortal:Mortal",
            captioner="toy",
            delta_encoder="toy",
        )
    ]


class Mortal(Toy):
    id = "mortal"

    def __init__(self, weights, device):
        super().__init__(weights, device)
        self.event, _, number = os.environ.get("DIFFINV_TEST_DEATH", ":0").partition(":")
        self.left = int(number)
        if self.event:
            sys.addaudithook(lambda event, _: self.count(event))

    def count(self, event):
        if event == self.event:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def predict(self, noisy, timesteps, conditioning):
        self.count("predict")
        return super().predict(noisy, timesteps, conditioning)
