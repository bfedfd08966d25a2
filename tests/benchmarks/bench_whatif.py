"""What a what-if costs: one that needs a forward pass, idle probes, and the picture of the demo city's places, cold and from the cache.

    python -m tests.benchmarks.bench_whatif [--threads 2]

Targets: a what-if under 1 s on the demo city and under 2 s on FSQ-NYC (where it is present), warm; idle probes under 1 % of a forward
pass; UMAP under 30 s cold and under 0.3 s from the cache. Weights do not change these figures, so nothing is trained. Judged by the
process's own seconds (all its threads together), not by the clock, which on a busy machine measures the neighbours; both are printed.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import torch

from engine.city.city import City
from engine.city.samples import Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.city.synthetic import synthesise
from engine.models.base import Data
from engine.models.calliper import CaLLiPer
from engine.models.calliper_config import CaLLiPerConfig
from engine.probes import Probe, probes
from engine.projection import project_embedding
from engine.scenarios.compare import compare
from engine.scenarios.edits import AddPlace, ChangeMoment, ClosePlace, Edit, MovePlace
from engine.scenarios.scenario import Scenario
from tests.benchmarks.cities import into_the_unknown

TARGETS_S = {"demo": 1.0, "FSQ-NYC": 2.0}
IDLE_TARGET, COLD_TARGET_S, CACHED_TARGET_S = 0.01, 30.0, 0.3


class Taken(NamedTuple):
    """Seconds of this process, and by the clock."""

    own: float
    clock: float

    def __str__(self) -> str:
        return f"{self.own:.3f} s of its own, {self.clock:.3f} s by the clock"


def measure(work: Callable[[], object], times: int, warm_up: bool = True) -> Taken:
    """Medians over `times`."""
    if warm_up:
        work()
    taken = []
    for _ in range(times):
        own, clock = time.process_time(), time.perf_counter()
        work()
        taken.append((time.process_time() - own, time.perf_counter() - clock))
    return Taken(*np.median(taken, axis=0).tolist())


def prepared(city: City, preset: str, split: Split) -> tuple[CaLLiPer, Samples]:
    """An untrained model of a city, and its test questions."""
    samples = build_samples(VisitLog.of(city, split))
    model = CaLLiPer.build(CaLLiPerConfig.preset(preset), Data(city, split, samples), seed=0)
    return model.eval(), samples.of_part("test")


def edits(samples: Samples) -> dict[str, Edit]:
    """One of each kind that needs a forward pass."""
    places = samples.log.places
    at = {"longitude": float(places.longitude.mean()), "latitude": float(places.latitude.mean())}
    return {
        "add a place": AddPlace(**at, category=places.category_names[0], name="new"),
        "move a place": MovePlace(location_id=str(places.ids[0]), **at),
        "close a place": ClosePlace(location_id=str(places.ids[0])),
        "change the hour": ChangeMoment(hour=22),
    }


def whatifs(name: str, model: CaLLiPer, samples: Samples) -> bool:
    """Prints the seconds of a before and after of every kind; whether one is above its target."""
    late = False
    for kind, edit in edits(samples).items():
        row = iter(range(1_000))

        def ask(edit: Edit = edit, row=row) -> object:  # type: ignore[no-untyped-def]
            at = next(row)
            return compare(model, samples.histories(slice(at, at + 1)), Scenario(edits=(edit,)))

        taken = measure(ask, 15)
        late |= taken.own > TARGETS_S[name]
        print(f"{name}, {len(samples.log.places):,} places: {kind}: {taken} (target {TARGETS_S[name]:g} s)")
    return late


def idle_share(model: CaLLiPer, samples: Samples) -> float:
    """Time that all probes of a model take while nobody listens, as a share of a forward pass for one question."""
    calls, value = [0], torch.zeros(1)
    hooks = [probe.register_forward_hook(lambda *_: calls.__setitem__(0, calls[0] + 1)) for probe in probes(model).values()]
    question = samples.histories(slice(0, 1))
    model.predict(question)
    for hook in hooks:
        hook.remove()
    probe = Probe("embedding", ("sample",), "Idle.")
    passed = measure(lambda: [probe(value) for _ in range(1_000 * calls[0])], 10).own / 1_000
    forward = measure(lambda: model.predict(question), 30)
    print(f"idle probes: {calls[0]} calls, {1e6 * passed:.1f} µs; one forward pass: {forward}")
    return passed / forward.own


def main() -> int:
    """Prints the figures with machine and versions; 1 where a target is missed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = asked.parse_args()
    torch.set_num_threads(given.threads)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "umap-learn"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, {given.threads} threads, Python {platform.python_version()}; {packages}")
    model, samples = prepared(synthesise("demo", seed=0, images=False), "demo", Split())
    missed = whatifs("demo", model, samples)
    share = idle_share(model, samples)
    missed |= share > IDLE_TARGET
    print(f"idle probes take {share:.2%} of a forward pass (target {IDLE_TARGET:.0%})")
    city = into_the_unknown()
    if city is None:
        print("FSQ-NYC is not here; set MOBISCOPE_REAL_DATA to measure it.")
    else:
        missed |= whatifs("FSQ-NYC", *prepared(city, "recommended", Split(kind="published")))
    vectors = model.embeddings(samples.log.places)["location"].vectors
    with tempfile.TemporaryDirectory() as home:
        os.environ["MOBISCOPE_HOME"] = home
        cold = measure(lambda: project_embedding(vectors, "umap"), 1, warm_up=False)
        cached = measure(lambda: project_embedding(vectors, "umap"), 5)
    missed |= cold.own > COLD_TARGET_S or cached.own > CACHED_TARGET_S
    print(
        f"UMAP of {len(vectors):,} places, cold: {cold} (target {COLD_TARGET_S:g} s); cached: {cached} (target {CACHED_TARGET_S:g} s)"
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
