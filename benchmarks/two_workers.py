"""How much faster a Ray cluster of two nodes is than one: python benchmarks/two_workers.py

The model's time is simulated by sleeping, so that two nodes on one machine do not share its cores;
what is measured is what the engine itself costs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")


def sleeper(seconds: float) -> Callable[[int], int]:
    """A worker whose tasks take so long."""

    def work(task: int) -> int:
        time.sleep(seconds)
        return task

    return work


def seconds_for(nodes: int, tasks: int, each: float) -> float:
    """From the first task's start to the last one's end, with that many nodes of one CPU."""
    import sys
    from functools import partial

    import ray
    from ray.cluster_utils import Cluster

    from diffinv.engines import engine_of

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        with engine_of("ray").started(partial(sleeper, each)) as pool:
            list(pool.run(range(2 * nodes)))  # everybody has started
            began = time.perf_counter()
            list(pool.run(range(tasks)))
            return time.perf_counter() - began
    finally:
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.1, help="what a task takes")
    args = parser.parse_args()
    one, two = (seconds_for(nodes, args.tasks, args.seconds) for nodes in (1, 2))
    print(f"one node {one:.1f} s, two nodes {two:.1f} s: {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
