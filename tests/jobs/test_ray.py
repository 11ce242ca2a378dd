"""Work on a real Ray cluster of two nodes, one of which is killed half-way."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ray
from installing import MODULES, install
from PIL import Image
from ray.cluster_utils import Cluster

from diffinv.cli.app import run
from diffinv.engines import engine_of
from diffinv.engines.local import LocalEngine
from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs.manifest import FILE
from diffinv.jobs.many import learn_many
from diffinv.jobs.requests import InvertManyRequest, InvertRequest
from diffinv.jobs.store import JobStore
from diffinv.jobs.tasks import run_application, run_inversion
from diffinv.method.settings import inversion_settings
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder

ROOT = Path(__file__).parents[2]

PYTHONPATH = os.environ.get("PYTHONPATH", "")


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """A cluster with one CPU on each of two nodes, which know the toy backbone; and functions that
    start and kill the second."""
    site = tmp_path_factory.mktemp("site")
    install(site, "toy", "mortal")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (site, MODULES, ROOT, PYTHONPATH)))
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = []

    def grow():
        if not nodes:
            nodes.append(cluster.add_node(num_cpus=1))
            cluster.wait_for_nodes()

    def kill():
        cluster.remove_node(nodes.pop(), allow_graceful=False)

    yield cluster.address, grow, kill
    cluster.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    os.environ["PYTHONPATH"] = PYTHONPATH


@pytest.fixture
def ray_on(two_nodes, monkeypatch):
    """The engine on the cluster, both nodes alive."""
    address, grow, _ = two_nodes
    monkeypatch.setenv("RAY_ADDRESS", address)
    grow()
    return engine_of("ray")


def doubled():
    """A factory of workers that double numbers; 13 is unlucky."""

    def work(number):
        time.sleep(0.01)
        if number == 13:
            raise ValueError("thirteen")
        return 2 * number, os.getpid()

    return work


def mortal():
    """A factory of workers that a certain task kills once."""

    def work(path):
        place = Path(path)
        if place.name == "deadly" and not place.exists():
            place.touch()
            os._exit(1)
        return place.name

    return work


def no_worker():
    raise DiffinvError("There are no weights here.")


def hopeless():
    def work(_task):
        os._exit(1)

    return work


def results(engine, make, tasks):
    with engine.started(make) as pool:
        return dict(pool.run(tasks))


def slow():
    """A factory of workers that take their time."""
    return time.sleep


def test_waiting_can_be_ended(ray_on):
    def tick():
        raise InterruptedError

    began = time.monotonic()
    with pytest.raises(InterruptedError), ray_on.started(slow) as pool:
        list(pool.run([60], tick))
    assert time.monotonic() - began < 40


def test_every_task_is_done_once_by_several_workers(ray_on):
    found = results(ray_on, doubled, [1, 2, *range(20, 60)])
    assert {place: value for place, (value, _) in found.items()} == {
        place: value
        for place, (value, _) in results(LocalEngine(), doubled, [1, 2, *range(20, 60)]).items()
    }
    assert len({pid for _, pid in found.values()}) == 2


def test_a_machine_that_joins_takes_part(two_nodes, ray_on):
    _, grow, kill = two_nodes
    kill()
    workers, done = set(), 0
    with ray_on.started(doubled) as pool:
        for _, (_, worker) in pool.run(range(20, 10_000)):  # more than there is time for
            workers.add(worker)
            done += 1
            if done == 20:
                assert len(workers) == 1
                grow()
            if len(workers) == 2:
                break
    assert 20 < done < 9_980


def test_a_task_whose_worker_dies_is_done_by_another(ray_on, tmp_path):
    tasks = [str(tmp_path / name) for name in ("a", "deadly", "b", "c")]
    assert results(ray_on, mortal, tasks) == {0: "a", 1: "deadly", 2: "b", 3: "c"}


def test_failures_are_one_sentence(ray_on):
    with pytest.raises(DiffinvError, match="thirteen"):
        results(ray_on, doubled, [13])
    with pytest.raises(DiffinvError, match="no weights here"):
        results(ray_on, no_worker, [1])
    with pytest.raises(DiffinvError, match="3 workers died"):
        results(ray_on, hopeless, [1])


def test_what_is_no_engine_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="--on cloud"):
        engine_of("cloud")
    monkeypatch.setattr("diffinv.engines.find_spec", lambda name: None)
    with pytest.raises(DiffinvError, match=r"diffinv\[ray\]"):
        engine_of("ray")


def test_half_the_cluster_is_killed_and_no_picture_is_lost(
    two_nodes, ray_on, toy, learn, applied, tmp_path
):
    _, _, kill = two_nodes
    run_inversion(learn())
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for i in range(200):
        Image.new("RGB", (16, 16), (i, 255 - i, i // 2)).save(photographs / f"{i:03}.png")
    here = run_application(applied(images=(photographs,), out=tmp_path / "here"))
    written = []

    def watch(event):
        if event.output:
            written.append(event.output.output)
            if len(written) == 100:
                kill()

    request = applied(images=(photographs,), out=tmp_path / "there", on="ray")
    there = run_application(request, watch)
    assert not there.failures
    assert len(written) == len(set(written)) == len(there.outputs) == len(here.outputs) == 200
    lines = (tmp_path / "there" / FILE).read_text().splitlines()
    assert len({json.loads(line)["input"] for line in lines}) == len(lines) == 200
    assert _contents(tmp_path / "here") == _contents(tmp_path / "there")
    again = run_application(request)
    assert again.skipped == 200


def _contents(folder: Path) -> dict[str, str]:
    """The pixels of every result: what is said of it has the seconds it took."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as image:
            found[path.name] = hashlib.sha256(image.tobytes()).hexdigest()
    return found


def test_a_comparison_is_the_same_on_the_cluster(ray_on, tmp_path):
    arguments = ["evaluate", "table1", "--data", "diorama", "--count", "2", "--device", "cpu"]
    arguments += [x for m in ("autoencoder", "word-edit") for x in ("--method", m)]
    arguments += ["--set", "word-edit.steps=4"]
    for on in ("local", "ray"):
        assert run([*arguments, "--on", on, "--out", str(tmp_path / on)]) == 0
    for path in (tmp_path / "local" / "pictures").rglob("*.png"):
        other = tmp_path / "ray" / path.relative_to(tmp_path / "local")
        assert path.read_bytes() == other.read_bytes()


def test_differences_of_a_manifest_are_learned_on_the_cluster(ray_on, toy, pair, tmp_path, capsys):
    rows = ["id,A,A_prime,caption_a,caption_a_prime", "one,a.png,a2.png,red,blue"]
    rows += ["two,a2.png,a.png,,", "same,a.png,a.png,,", "gone,a.png,nothing.png,,"]
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    command = ["invert", "--manifest", str(tmp_path / "pairs.csv"), "--backbone", "toy"]
    command += ["--steps", "3", "--device", "cpu", "--json"]
    assert run([*command, "--on", "ray", "--batch", "2"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["learned"] == ["one", "two"]
    assert "line 5 names" in said.err
    assert "same: A and A′ are the same picture" in said.err
    (job,) = JobStore().jobs()
    assert (job.kind, job.state) == ("invert-many", "done")
    learned = Library(library_folder())
    alone = run_inversion(
        InvertRequest(
            ((tmp_path / "a2.png", tmp_path / "a.png"),),
            name="alone",
            backbone="toy",
            settings=inversion_settings(steps=3),
            device="cpu",
        )
    )[0]
    assert np.allclose(learned.load("two").tokens, alone.tokens, atol=1e-4)
    assert run([*command, "--on", "ray"]) == 1
    assert "2 of 3 are in the library already" in capsys.readouterr().err


def test_a_job_of_many_ends_in_the_middle_of_a_batch(ray_on, toy, pair):
    """Whoever cancels it need not wait for the cluster."""
    settings = inversion_settings(steps=100_000)
    one = InvertRequest((pair,), name="long", backbone="toy", settings=settings, device="cpu")

    def cancelled(event):
        if event.phase == "Learning the differences":
            raise InterruptedError

    began = time.monotonic()
    with pytest.raises(InterruptedError):
        learn_many(InvertManyRequest((one,), on="ray"), cancelled)
    assert time.monotonic() - began < 60
    assert not Library(library_folder()).entries()
    assert set(results(ray_on, doubled, [1, 2])) == {0, 1}, "the cluster is free again"
