"""How well NextLocMoE predicts, head by head, beside the baselines; what its roles are worth; the same weights in another city.

    python -m tests.benchmarks.bench_nextlocmoe [--cities built-in qt-mob] [--heads pointer mdn regression] [--epochs N]
        [--variant NAME field=value ...]... [--out FOLDER] [--baselines NAME...] [--no-transfer]

Trains preset `demo` with each head, and each named variant of it, on each city (`built-in`, `qt-mob`, or a saved one), and prints
Markdown tables: quality over all and over cold users (the half with the fewest training visits), agreement of dominant role experts
with the true role where the city has one and whom each expert is asked for, and quality of every model on every other city, where
only centre, scale and popularity are taken from the training part. Weights are kept in FOLDER and taken from there the next time.
"""

import argparse
import json
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import normalized_mutual_info_score

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.evaluation.report import Evaluation, evaluate
from engine.models.answers import Prediction, Predictor
from engine.models.base import Data
from engine.models.baselines import fit_baselines
from engine.models.nextlocmoe import NextLocMoE
from engine.models.nextlocmoe_config import NextLocMoEConfig
from engine.probes import watch
from engine.training.loop import Trainer
from tests.benchmarks.cities import city_called

SHOWN = ("acc@1", "acc@5", "acc@10", "distance_mean_m")
COLD = ("least known quarter", "second quarter")
BASELINES = (
    "last_place", "window_frequency", "user_frequency", "user_hour", "user_markov", "window_neighbours", "gru", "self_attention",
)  # fmt: skip


class Named:
    """A predictor under the name of its variant."""

    def __init__(self, name: str, model: NextLocMoE) -> None:
        self.name, self.title, self._model = name, name, model

    def predict(self, histories) -> Prediction:  # type: ignore[no-untyped-def]
        """The model's own answer."""
        return self._model.predict(histories)


def read_data(slug: str) -> Data | None:
    """A city under its published split, where it has one."""
    city = city_called(slug)
    if city is None:
        return None
    split = Split(kind="published") if "split" in city.table("visits") else Split()
    return Data(city, split, build_samples(VisitLog.of(city, split)))


def trained(data: Data, slug: str, name: str, config: NextLocMoEConfig, seed: int, folder: Path) -> NextLocMoE:
    """A model with trained weights, from the folder if they are there."""
    model = NextLocMoE.build(config, data, seed)
    path = folder / f"{slug}-{name}.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path))
        return model.eval()
    begin, begin_cpu = time.perf_counter(), time.process_time()

    def tell(done) -> None:  # type: ignore[no-untyped-def]
        figures = ", ".join(f"{key} {value:.4g}" for key, value in done.metrics.items())
        print(f"    {slug} {name}, epoch {done.epoch}: {done.loss:.4f}; {figures}", file=sys.stderr, flush=True)

    run = Trainer(model, model.stages(data), seed=seed, on_epoch=tell).train()
    count = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{slug} {name}: {time.perf_counter() - begin:.0f} s, {time.process_time() - begin_cpu:.0f} CPU-s, {len(run.epochs)} epochs, "
        f"{count:,} parameters, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB",
        flush=True,
    )
    save_file({key: value.contiguous().clone() for key, value in model.state_dict().items()}, path)
    return model


def role_agreement(model: NextLocMoE, data: Data, draws: int = 200) -> tuple[list[str], list[str]]:
    """Where the asked weight goes on the training part, at the latest visit of each window.

    Returns:
        One line per set of experts: agreement of users' dominant expert with their true role, against permutations, and loads; and
        one table per set: the share of each expert in the weight asked for people of each true role.
    """
    assert data.samples is not None
    if not data.city.has("truth"):
        return [], []
    truth = data.city.table("truth").query("subject == 'user'").set_index("subject_id")["role"]
    samples, lines, tables = data.samples.of_part("train"), [], []
    chosen = np.arange(0, len(samples), 4)
    sets = model.experts()
    mean = {key: np.zeros((len(samples.log.users), len(found.names))) for key, found in sets.items()}
    if not sets:
        return [], []
    with watch(model, *(found.routing for found in sets.values())) as seen:
        for begin in range(0, len(chosen), 256):
            histories = samples.histories(chosen[begin : begin + 256])
            model.predict(histories)
            for key, found in sets.items():
                np.add.at(mean[key], histories.user, seen[found.routing].pop().to_numpy()[:, -1])
    for key, found in sets.items():
        known = mean[key].sum(1) > 0
        dominant, role = mean[key].argmax(1)[known], truth.reindex(samples.log.users).to_numpy()[known]
        generator = np.random.default_rng(0)
        permuted = [normalized_mutual_info_score(generator.permutation(role), dominant) for _ in range(draws)]
        value, load = normalized_mutual_info_score(role, dominant), mean[key].sum(0) / mean[key].sum()
        lines.append(
            f"| {found.title} | {value:.3f} | {np.mean(permuted):.3f} ± {np.std(permuted):.3f} | "
            f"{(value - np.mean(permuted)) / max(float(np.std(permuted)), 1e-9):.0f} sd | {load.min():.3f} | {load.max():.3f} | "
            f"{int((load < 0.01).sum())} of {len(load)} |"
        )
        tables.append(
            "| true role | " + " | ".join(f"`{expert}`" for expert in found.names) + " |\n|---" + "|---:" * len(load) + "|"
        )
        for group in np.unique(role.astype(str)):
            share = mean[key][known][role.astype(str) == group].sum(0)
            tables[-1] += f"\n| {group} | " + " | ".join(f"{100 * part / share.sum():.0f} %" for part in share) + " |"
    return lines, tables


def cells(evaluation: Evaluation, name: str) -> str:
    """All users, then cold ones."""
    found = []
    for groups in ((("all", "all"),), tuple(("cold_user", group) for group in COLD)):
        for metric in SHOWN:
            parts = [part for group in groups if (part := evaluation.estimate(name, metric, *group)).n]
            value = float(np.average([part.value for part in parts], weights=[part.n for part in parts])) if parts else np.nan
            found.append("–" if not np.isfinite(value) else f"{value:,.0f}" if metric.endswith("_m") else f"{100 * value:.1f}")
    return " | ".join(found)


def variants(heads: list[str], asked: list[list[str]] | None, epochs: int | None) -> dict[str, NextLocMoEConfig]:
    """Variant name to settings."""
    changes = {"epochs": epochs} if epochs else {}
    found = {head: NextLocMoEConfig.preset("demo", head=head, **changes) for head in heads}
    for name, *fields in asked or []:
        values: dict = dict(changes)
        for field in fields:
            key, _, value = field.partition("=")
            try:
                values[key] = json.loads(value)
            except ValueError:
                values[key] = value
        found[name] = NextLocMoEConfig.preset("demo", **values)
    return found


def main() -> int:
    """Trains, evaluates, prints."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--cities", nargs="+", default=["built-in", "qt-mob"])
    asked.add_argument("--heads", nargs="*", default=["pointer", "mdn", "regression"])
    asked.add_argument("--variant", nargs="+", action="append", metavar=("NAME", "FIELD=VALUE"))
    asked.add_argument("--epochs", type=int)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--out", type=Path, default=Path("build/bench_nextlocmoe"))
    asked.add_argument("--baselines", nargs="*", default=BASELINES, metavar="NAME")
    asked.add_argument("--no-transfer", action="store_true")
    asked.add_argument("--no-evaluation", action="store_true", help="train and keep the weights only")
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    cities = {slug: data for slug in given.cities if (data := read_data(slug)) is not None}
    if not cities:
        print("None of these cities is here. Nothing was measured.")
        return 0
    print(f"{platform.platform()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    models = {
        (slug, name): trained(data, slug, name, config, given.seed, given.out)
        for slug, data in cities.items()
        for name, config in variants(given.heads, given.variant, given.epochs).items()
    }
    if given.no_evaluation:
        return 0
    head = "| method | " + " | ".join([*SHOWN, *(f"cold {metric}" for metric in SHOWN)]) + " |"
    rule = "|---|" + "---:|" * (2 * len(SHOWN))
    for slug, data in cities.items():
        assert data.samples is not None
        predictors: list[Predictor] = [Named(name, model) for (where, name), model in models.items() if where == slug]
        if not given.no_transfer:
            predictors += [
                Named(f"{name}, trained on {where}", model.transfer(data))
                for (where, name), model in models.items()
                if where != slug and not model.config.reads_user
            ]
        predictors += fit_baselines(data.samples.log, names=given.baselines)
        evaluation = evaluate(predictors, data.samples.of_part("test"), data.city, slices=("cold_user",))
        print(f"\n**{data.city.name}**, {len(data.samples.of_part('test')):,} test samples, strict scoring:\n\n{head}\n{rule}")
        for predictor in predictors:
            print(f"| {predictor.title} | {cells(evaluation, predictor.name)} |", flush=True)
        evaluation.metrics.to_parquet(given.out / f"{slug}-metrics.parquet")
        for (where, name), model in models.items():
            lines, tables = role_agreement(model, data) if where == slug else ([], [])
            if lines:
                print(
                    f"\n{name}: agreement with the true role\n\n| experts | NMI | permuted | above | least load | most load | dead |"
                )
                print("|---|---:|---:|---:|---:|---:|---:|\n" + "\n".join(lines) + "\n\n" + "\n\n".join(tables), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
