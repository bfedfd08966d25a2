"""What LMEMR costs: time per step against the number of cells (it should be linear), inference, and one epoch at the published size.

    python -m tests.benchmarks.bench_lmemr_cost [--cells 1000 5000 20000] [--preset demo] [--device auto] [--paper] [--paper-epochs 1]

Cells are a square grid with random features of realistic widths: cost does not depend on what they say. `--paper` adds the published
size: 5,263 cells, four modalities, image vectors of 2,048 and text vectors of 4,096 components, with the preset `paper`.
"""

import argparse
import resource
import time

import numpy as np
import torch

from engine.city.cell_samples import CellSamples
from engine.device import choose_device
from engine.encoders.cell_features import CellInputs, Modality
from engine.models.base import Data
from engine.models.lmemr import LMEMR
from engine.models.lmemr_config import MODALITIES, LMEMRConfig
from engine.training.loop import Trainer

SHENZHEN = 5_263
MEASURED = {"satellite": 25, "height": 13, "street_view": 20, "poi": 12, "text": 384, "views": 3}
PUBLISHED = {"satellite": 2_048, "height": 2_048, "street_view": 2_048, "poi": 23, "text": 4_096, "views": 20}


def square_cells(count: int) -> CellSamples:
    """The first `count` cells of a square grid, rook neighbours, three fifths of them for training."""
    side = int(np.ceil(count**0.5))
    at = np.arange(count)
    row, column = np.divmod(at, side)
    right, down = at[(column < side - 1) & (at + 1 < count)], at[at + side < count]
    edges = np.concatenate([np.stack([right, right + 1], 1), np.stack([down, down + side], 1)])
    rng = np.random.default_rng(0)
    return CellSamples(
        cell_ids=np.array([f"c{number}" for number in at]),
        x=500.0 * column,
        y=500.0 * row,
        area_km2=np.full(count, 0.25),
        district=np.full(count, ""),
        outflow=rng.lognormal(3, 1, (count, 24)).astype(np.float32),
        part=np.array([0, 0, 0, 1, 2], np.int8)[rng.permutation(count) % 5],
        edges=np.concatenate([edges, edges[:, ::-1]]),
        day_type="weekday",
    )


def random_inputs(cells: CellSamples, widths: dict[str, int]) -> CellInputs:
    """Random features of these widths for every cell."""
    rng, count = np.random.default_rng(0), len(cells)
    everywhere = np.ones(count, bool)
    found = {}
    for name in MODALITIES:
        owner = np.repeat(np.arange(count), widths["views"]) if name == "street_view" else np.arange(count)
        text = rng.standard_normal((count, widths["text"]), np.float32)
        found[name] = Modality(
            name=name,
            features=rng.standard_normal((len(owner), widths[name]), np.float32),
            owner=owner,
            present=everywhere,
            components=tuple(map(str, range(widths[name]))),
            captions=tuple(map(str, range(count))),
            text=text / np.linalg.norm(text, axis=1, keepdims=True),
            text_present=everywhere,
            trend=None,
            source="random",
        )
    return CellInputs(cells.cell_ids, found, "random")


def measure(count: int, widths: dict[str, int], preset: str, device: str, epochs: int) -> None:
    """Prints one row of the table."""
    cells = square_cells(count)
    inputs = random_inputs(cells, widths)
    config = LMEMRConfig.preset(preset, epochs=epochs, patience=5_000)
    data = Data(None, None, cells=cells, inputs=inputs)  # type: ignore[arg-type]
    model, chosen = LMEMR.build(config, data, 0), choose_device(device)
    stages = model.stages(data)
    seconds: list[float] = []
    cpu = time.process_time()
    begin = time.perf_counter()
    Trainer(model, stages, seed=0, device=chosen, on_step=lambda done: seconds.append(done.seconds)).train()
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    inference = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict_curves(inputs, cells)
        inference.append(time.perf_counter() - start)
    memory = (
        torch.cuda.max_memory_allocated() / 2**30 if chosen.is_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    )
    print(
        f"| {count:,} | {preset} | {sum(p.numel() for p in model.parameters()) / 1e6:.2f} | {len(seconds)} | {np.median(seconds):.3f} | "
        f"{1e3 * np.median(seconds) / count:.4f} | {cpu / len(seconds):.3f} | {wall:.1f} | {min(inference):.2f} | {memory:.1f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="*", default=[1_000, 5_000, 20_000])
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--paper", action="store_true", help="also the published size")
    parser.add_argument("--paper-epochs", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{choose_device(arguments.device).label}, {torch.get_num_threads()} threads\n")
    print(
        "| cells | preset | parameters, M | steps | s per step | ms per step and cell | CPU s per step | training, s | inference, s | peak memory, GiB |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for count in arguments.cells:
        measure(count, MEASURED, arguments.preset, arguments.device, arguments.epochs)
    if arguments.paper:
        measure(SHENZHEN, PUBLISHED, "paper", arguments.device, arguments.paper_epochs)


if __name__ == "__main__":
    main()
