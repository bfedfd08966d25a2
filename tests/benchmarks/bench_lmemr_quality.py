"""How well LMEMR draws curves on the built-in city (or a saved one), beside the baselines, and what each mechanism is worth.

    python -m tests.benchmarks.bench_lmemr_quality [--seeds 0 1 2] [--variants full no_graph ...] [--kinds spatial_blocks random_cells]
        [--weights 0 1 2] [--city NAME] [--preset demo] [--set field=value ...] [--no-baselines] [--judge valid] [--out FOLDER]

A seed draws the split, the weights and the training; every variant of a seed answers the same test cells. With `--weights`, each split
is trained once per seed of weights instead, so that the spread of training is seen apart from the spread of splits. Prints Markdown: each
predictor with its mean and range over seeds, and each ablation with what it costs against the full model, seed by seed. Every row
is also appended to FOLDER/rows.csv as soon as it is there, and rows that are there already are not computed again. Settings are to be
chosen with `--judge valid`, which measures the validation cells and never looks at test cells; use another folder for each.
"""

import argparse
import csv
import gc
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.city.cell_samples import CellSamples, build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.city import City, open_city
from engine.city.splits import PARTS
from engine.city.synthetic import synthesise
from engine.device import choose_device
from engine.evaluation.flow_report import evaluate_curves
from engine.models.base import Data
from engine.models.baselines.curves import fit_curve_baselines
from engine.models.lmemr import LMEMR
from engine.models.lmemr_config import LMEMRConfig
from engine.training.loop import Trainer

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "no_graph": {"graph": "self"},
    "no_graph_layers": {"graph": "none"},
    "gcn": {"graph": "mean"},
    "no_semantics": {"semantics": "off"},
    "shuffled_captions": {"semantics": "shuffled"},
    "lite_prompt": {"semantics": "lite"},
    "no_intra": {"intra_contrast": False},
    "no_inter": {"inter_contrast": False},
    "late_concatenation": {"fusion": "concatenate"},
    "gated": {"fusion": "gated"},
    "satellite_only": {"modalities": ("satellite",)},
    "height_only": {"modalities": ("height",)},
    "street_view_only": {"modalities": ("street_view",)},
    "poi_only": {"modalities": ("poi",)},
    "regression_only": {"head": "regression"},
    "classification_only": {"head": "classification"},
    "published_head": {"bin_offsets": False},
}
"""Tables 4 to 7 of the paper, and our own: the same layers without neighbours, offsets in bins."""

FIRST = ("full", "no_graph", "no_semantics", "shuffled_captions", "poi_only")
METRICS = ("r2", "r2_flow", "mae", "wape", "oa", "shape", "peak_hours", "coverage", "calibration")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--weights", type=int, nargs="+", default=[], help="seeds of weights and training; default that of the split"
    )
    parser.add_argument("--variants", nargs="*", default=list(FIRST), choices=list(VARIANTS))
    parser.add_argument("--kinds", nargs="+", default=["spatial_blocks"], choices=["spatial_blocks", "random_cells", "districts"])
    parser.add_argument("--city", default="", help="a saved city; default the built-in one of size demo")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", dest="changes")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--judge", default="test", choices=["test", "valid"], help="which cells are measured")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    changes = {name: _value(value) for name, _, value in (pair.partition("=") for pair in arguments.changes)}
    city = open_city(arguments.city) if arguments.city else synthesise("demo", seed=0)
    rows: list[dict[str, Any]] = []
    if arguments.out is not None and (arguments.out / "rows.csv").is_file():
        rows = pd.read_csv(arguments.out / "rows.csv").to_dict("records")
    for kind in arguments.kinds:
        for seed in arguments.seeds:
            done = {(row["method"], row["weights"]) for row in rows if (row["kind"], row["seed"]) == (kind, seed)}
            wanted = [
                (name, weights)
                for weights in arguments.weights or [seed]
                for name in arguments.variants
                if (name, weights) not in done
            ]
            with_baselines = not arguments.no_baselines and ("hourly_mean", seed) not in done
            split = CellSplit(kind=kind, seed=seed)
            for row in _measured(city, split, arguments.preset, changes, wanted, with_baselines, arguments.judge):
                rows.append(row)
                print(
                    f"    {kind}, seed {seed}, weights {row['weights']}, {row['method']}: R² {row['r2']:.4f}, MAE {row['mae']:.2f}, {row['seconds']:.0f} s",
                    flush=True,
                )
                if arguments.out is not None:
                    _append(arguments.out / "rows.csv", row)
    table = pd.DataFrame(rows)
    for kind in arguments.kinds:
        print(f"\n**{city.name}, {kind}, preset {arguments.preset}**\n\n{_markdown(table[table['kind'] == kind])}")


def _measured(  # type: ignore[no-untyped-def]
    city: City,
    split: CellSplit,
    preset: str,
    changes: Mapping[str, Any],
    variants: list[tuple[str, int]],
    with_baselines: bool,
    judge: str,
):
    """Yields one row per variant with its seed of weights, and one per baseline."""
    cells = build_cell_samples(city, split)
    judged = cells if judge == "test" else _valid_for_test(cells)
    bare = Data(city, split, cells=cells)
    for name, weights in variants:
        config = LMEMRConfig.preset(preset, **changes, **VARIANTS[name])
        model = LMEMR.build(config, bare, weights)
        data = replace(bare, inputs=model.encode(city, cells))
        begin, cpu = time.perf_counter(), time.process_time()
        trained = Trainer(model, model.stages(data), seed=weights, device=choose_device("auto")).train()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        found = evaluate_curves([model], data.inputs, judged, city, slices=(), scale=model.scale).headline(model.name)  # type: ignore[list-item,arg-type]
        facts = {"seconds": seconds, "cpu_seconds": cpu, "epochs": len(trained.epochs), "n_test": int(judged.mask("test").sum())}
        key = {"kind": split.kind, "seed": split.seed, "weights": weights, "method": name}
        yield {**key, **{metric: found[metric] for metric in METRICS}, **facts}
        del model, data
        gc.collect()
    if not with_baselines:
        return
    model = LMEMR.build(LMEMRConfig.preset(preset, **changes), bare, split.seed)
    inputs = model.encode(city, cells)
    begin = time.perf_counter()
    baselines = fit_curve_baselines(inputs, cells, seed=split.seed)
    seconds = time.perf_counter() - begin
    evaluation = evaluate_curves(baselines, inputs, judged, city, slices=(), scale=model.scale)  # type: ignore[arg-type]
    for baseline in baselines:
        found = evaluation.headline(baseline.name)
        facts = {
            "seconds": seconds / len(baselines),
            "cpu_seconds": float("nan"),
            "epochs": 0,
            "n_test": int(judged.mask("test").sum()),
        }
        yield {
            "kind": split.kind,
            "seed": split.seed,
            "weights": split.seed,
            "method": baseline.name,
            **{metric: found[metric] for metric in METRICS},
            **facts,
        }


def _valid_for_test(cells: CellSamples) -> CellSamples:
    """The same cells with validation cells in place of test cells, which become input only."""
    return replace(
        cells, part=np.select([cells.mask("valid"), cells.mask("test")], [PARTS.index("test"), -1], cells.part).astype(np.int8)
    )


def _markdown(table: pd.DataFrame) -> str:
    """Mean over seeds with the lowest and highest; ablations also as differences from the full model of the same seeds."""
    seeds, keys = sorted(table["seed"].unique()), ["seed", "weights"]
    lines = [f"Seeds {', '.join(map(str, seeds))}; mean (lowest to highest).", "", "| method | " + " | ".join(METRICS) + " | s |"]
    lines.append("|---" + "|---:" * (len(METRICS) + 1) + "|")
    for method, own in table.groupby("method", sort=False):
        shown = [f"{own[name].mean():.3f} ({own[name].min():.3f} to {own[name].max():.3f})" for name in METRICS]
        lines.append(f"| {method} | " + " | ".join(shown) + f" | {own['seconds'].mean():.0f} |")
    full = table[table["method"] == "full"].set_index(keys)
    if full.empty:
        return "\n".join(lines) + "\n"
    lines += ["", "| without / instead | R² lost: each, mean | MAE gained: each, mean |", "|---|---|---|"]
    for method, own in table[table["method"].isin(list(VARIANTS))].groupby("method", sort=False):
        lost, gained = (full["r2"] - own.set_index(keys)["r2"]).dropna(), (own.set_index(keys)["mae"] - full["mae"]).dropna()
        if method != "full" and len(lost):
            each = f"{', '.join(f'{x:+.3f}' for x in lost)}; {lost.mean():+.3f}"
            lines.append(f"| {method} | {each} | {', '.join(f'{x:+.2f}' for x in gained)}; {gained.mean():+.2f} |")
    if (spread := table.groupby(["method", "seed"])[["r2", "mae"]].std().dropna()).empty:
        return "\n".join(lines) + "\n"
    lines += ["", "Standard deviation over weights, split by split:", "", "| method | R² | MAE |", "|---|---|---|"]
    for method, own in spread.groupby("method", sort=False):
        lines.append(f"| {method} | {', '.join(f'{x:.3f}' for x in own['r2'])} | {', '.join(f'{x:.2f}' for x in own['mae'])} |")
    return "\n".join(lines) + "\n"


def _append(path: Path, row: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
