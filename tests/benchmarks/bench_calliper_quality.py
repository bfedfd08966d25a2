"""How well CaLLiPer predicts on FSQ-NYC (published split), with intervals, next to the baselines; run time and memory.

    python -m tests.benchmarks.bench_calliper_quality [--seeds 0 1 2] [--hidden-list 0] [--variant NAME field=value ...]... [--out FOLDER]

Trains preset `recommended` and every named variant of it to their early stopping, once per seed, and prints Markdown tables. A variant
`closed head=closed place_text=false` is the preset with these fields changed; without any, only the preset is trained. `--hidden-list`
trains without the places of an inductive list of the paper and prints the four inductive slices. Answers go to FOLDER as Parquet.
"""

import argparse
import json
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.evaluation.metrics import METRICS
from engine.evaluation.report import Evaluation, evaluate
from engine.models.answers import Prediction, Predictor
from engine.models.base import Data
from engine.models.baselines import fit_baselines
from engine.models.calliper import CaLLiPer
from engine.models.calliper_config import CaLLiPerConfig
from engine.training.loop import Trainer
from tests.benchmarks.cities import INTO_THE_UNKNOWN, into_the_unknown

SHOWN = ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10")
TO_BEAT = {"acc@1": 0.212, "mrr": 0.332, "ndcg@10": 0.386}
"""What the released model reached (docs/calliper.md)."""


class Named:
    """A predictor under the name of its variant and seed."""

    def __init__(self, name: str, title: str, model: CaLLiPer) -> None:
        self.name, self.title, self._model = name, title, model

    def predict(self, histories) -> Prediction:  # type: ignore[no-untyped-def]
        """The model's own answer."""
        return self._model.predict(histories)


def read_data(hidden_list: int | None) -> Data | None:
    """The real city under its published split, without the places of an inductive list where one is named."""
    city = into_the_unknown()
    if city is None:
        return None
    hidden: tuple[str, ...] = ()
    if hidden_list is not None:
        numbers = pd.read_csv(INTO_THE_UNKNOWN / f"locs2remove_10pct_{hidden_list}.csv")["location_id_num"].astype(str)
        rows = pd.read_csv(INTO_THE_UNKNOWN / "checkins.csv.gz", dtype=str)
        hidden = tuple(sorted(rows.loc[rows["location_id_num"].isin(numbers), "location_id"].unique()))
    split = Split(kind="published", hidden_locations=hidden)
    return Data(city, split, build_samples(VisitLog.of(city, split)))


def train(data: Data, config: CaLLiPerConfig, seed: int) -> tuple[CaLLiPer, float, int]:
    """A model trained to its early stopping, the seconds it took, and its epochs downstream."""
    begin = time.perf_counter()
    model = CaLLiPer.build(config, data, seed)

    def tell(done) -> None:  # type: ignore[no-untyped-def]
        figures = ", ".join(f"{key} {value:.4f}" for key, value in done.metrics.items())
        print(f"    {done.stage}, epoch {done.epoch}: {done.loss:.4f}; {figures}", file=sys.stderr, flush=True)

    trained = Trainer(model, model.stages(data), seed=seed, on_epoch=tell).train()
    return model, time.perf_counter() - begin, sum(epoch.stage_number > 0 for epoch in trained.epochs)


def variants(asked: list[list[str]] | None) -> dict[str, CaLLiPerConfig]:
    """Variant name to settings."""
    found = {}
    for name, *changes in asked or [["recommended"]]:
        fields = {}
        for change in changes:
            field, _, value = change.partition("=")
            try:
                fields[field] = json.loads(value)
            except ValueError:
                fields[field] = value
        found[name] = CaLLiPerConfig.preset("recommended", **fields)
    return found


def over_seeds(evaluation: Evaluation, name: str, seeds: list[int]) -> str:
    """Mean and standard deviation over seeds of every metric."""
    cells = []
    for metric in SHOWN:
        values = [100 * evaluation.estimate(f"{name}-{seed}", metric).value for seed in seeds]
        cells.append(f"{np.mean(values):.2f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.2f}")
    return f"| {name}, {len(seeds)} seeds | " + " | ".join(cells) + " |"


def main() -> int:
    """Trains, evaluates, prints; 1 where the preset misses what it has to beat."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked.add_argument("--hidden-list", type=int, choices=[0, 1, 2])
    asked.add_argument("--variant", nargs="+", action="append", metavar=("NAME", "FIELD=VALUE"))
    asked.add_argument("--out", type=Path)
    asked.add_argument("--no-baselines", action="store_true", help="only the model")
    asked.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = asked.parse_args()
    torch.set_num_threads(given.threads)
    data = read_data(given.hidden_list)
    if data is None or data.samples is None:
        print("FSQ-NYC is not here; set MOBISCOPE_REAL_DATA. Nothing was measured.")
        return 0
    print(
        f"{platform.platform()}, torch {torch.__version__}, {given.threads} threads; {data.city.name}, hidden list {given.hidden_list}"
    )
    test = data.samples.of_part("test")
    predictors: list[Predictor] = []
    for name, config in variants(given.variant).items():
        for seed in given.seeds:
            model, seconds, epochs = train(data, config, seed)
            count = sum(parameter.numel() for parameter in model.parameters())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{name}, seed {seed}: {seconds:.0f} s, {epochs} epochs, {count:,} parameters, peak memory {peak:,.0f} MB",
                flush=True,
            )
            for warned in model.diagnose(data):
                print(
                    f"  {'FIRED' if warned.fired else 'passed'} {warned.name}: {warned.value:.3f} (threshold {warned.threshold:.3f})"
                )
            predictors.append(Named(f"{name}-{seed}", f"{name}, seed {seed}", model))
            if given.out:
                given.out.mkdir(parents=True, exist_ok=True)
                save_file(
                    {key: value.contiguous() for key, value in model.state_dict().items()}, given.out / f"{name}-{seed}.safetensors"
                )
    if not given.no_baselines:
        predictors += fit_baselines(data.samples.log)
    slices = ("hidden",) if given.hidden_list is not None else ("explore", "new_in_history", "new_as_target")
    evaluation = evaluate(predictors, test, data.city, slices=slices)
    print("\nStrict scoring, 95 % intervals over users:\n")
    print(evaluation.to_markdown(SHOWN, slices))
    for name in variants(given.variant):
        print(over_seeds(evaluation, name, given.seeds))
    if given.out:
        evaluation.predictions.to_parquet(given.out / "predictions.parquet")
        evaluation.metrics.to_parquet(given.out / "metrics.parquet")
    if given.no_baselines:
        return 0
    first = f"{next(iter(variants(given.variant)))}-{given.seeds[0]}"
    missed = []
    for metric in SHOWN:
        reached, floor = (
            evaluation.estimate(first, metric).value,
            evaluation.estimate(evaluation.best_baseline(metric), metric).value,
        )
        if reached <= max(floor, TO_BEAT.get(metric, 0.0)):
            missed.append(METRICS[metric].title)
    if given.hidden_list is None:
        print(f"\nAbove every baseline and the released model: {'yes' if not missed else 'MISSED in ' + ', '.join(missed)}")
    return int(bool(missed) and given.hidden_list is None)


if __name__ == "__main__":
    sys.exit(main())
