"""A real, very small model for the tests of training and runs: the next place from the last one, with dropout and two stages.

Run as `python -m tests.engine.runs.bigram work RUN_ID` it is the worker of `python -m engine`, with this model registered.
"""

import sys
import time
from collections import ChainMap
from typing import Self

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import nn

from engine import models
from engine.city.city import City
from engine.models.answers import Prediction
from engine.models.base import Data, NextLocationModel
from engine.models.declarations import Missing, Warned
from engine.models.settings import ModelConfig
from engine.models.stage import Stage
from engine.probes import Probe


class BigramConfig(ModelConfig):
    epochs: int = Field(3, ge=1, le=1000, description="Most epochs of the second stage.")
    batch_size: int = Field(16, ge=1, description="Samples per step.")
    learning_rate: float = Field(0.05, gt=0, description="Rate of both stages.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout on the scores.")
    seconds_per_step: float = Field(0.0, ge=0, description="Sleep in every step, to have time to interfere.")
    diverge_at: int | None = Field(None, description="Step of the second stage at which the loss becomes NaN.")
    fits: int | None = Field(None, description="Samples that fit into the pretended memory.")
    splits: bool = Field(True, description="Whether batches can be split.")

    @classmethod
    def presets(cls) -> dict[str, Self]:
        return {"tiny": cls(), "demo": cls(), "paper": cls(epochs=20)}


class Bigram(NextLocationModel):
    name, title, task = "bigram", "Bigram softmax", "next_location"
    paper = "No paper: a test model."
    Config = BigramConfig

    def __init__(self, config: BigramConfig, places: int, seed: int) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        self.bias = nn.Parameter(torch.zeros(places))
        self.table = nn.Parameter(0.1 * torch.randn(places, places, generator=generator))
        self.dropout = nn.Dropout(config.dropout)
        self.scores = Probe("similarity", ("sample", "location"), "score of every place")

    @classmethod
    def requirements(cls, city: City) -> list[Missing]:
        if city.has("visits", "locations"):
            return []
        return [Missing("Visits are missing.", "The model learns from who was where.", "Bring check-ins.")]

    @classmethod
    def build(cls, config, data, seed, report=None):
        if report:
            report("Counting places", 1.0)
        return cls(config, len(data.samples.log.places), seed)

    def artefacts(self) -> dict:
        return {"places": len(self.bias)}

    def forward(self, last: torch.Tensor) -> torch.Tensor:
        return self.scores(self.dropout(self.table[last]) + self.bias)  # (sample, location)

    def stages(self, data: Data) -> list[Stage]:
        train, valid = (_pairs(data.samples.of_part(part)) for part in ("train", "valid"))
        config, steps = self.config, -(-len(train[0]) // self.config.batch_size)
        self._taken = 0

        def batches(epoch, generator):
            order = generator.permutation(len(train[0]))
            for first in range(0, len(order), config.batch_size):
                chosen = order[first : first + config.batch_size]
                yield train[0][chosen], train[1][chosen]

        def loss(batch):
            last, target = (part.to(self.device) for part in batch)
            time.sleep(config.seconds_per_step)
            self._taken += 1
            if config.fits is not None and len(last) > config.fits:
                raise torch.OutOfMemoryError(f"pretended: {len(last)} samples do not fit")
            total = nn.functional.cross_entropy(self(last), target)
            if config.diverge_at is not None and self._taken > steps + config.diverge_at:
                total = total * torch.nan
            return {"total": total, "cross_entropy": total}

        def validate():
            return {"cross_entropy": float(nn.functional.cross_entropy(self(valid[0].to(self.device)), valid[1].to(self.device)))}

        def split(batch, parts):
            pieces = zip(*(part.chunk(parts) for part in batch), strict=True)
            return [(len(piece[0]) / len(batch[0]), piece) for piece in pieces]

        common = {"batches": batches, "batches_per_epoch": steps, "loss": loss, "validate": validate, "monitor": "cross_entropy"}
        common |= {"learning_rate": config.learning_rate, "split": split if config.splits else None}
        return [
            Stage("popularity", [self.bias], epochs=1, **common),
            Stage("bigram", [self.table, self.bias], epochs=config.epochs, warm_up_epochs=1, decay="linear", restarts=1, **common),
        ]

    @torch.no_grad()
    def predict(self, histories):
        self.eval()
        last = torch.as_tensor(histories.location[histories.last], dtype=torch.long, device=self.device)
        return Prediction(self(last).log_softmax(-1).cpu().numpy().astype(np.float32))

    def diagnose(self, data: Data) -> list[Warned]:
        spread = float(self.table.detach().std())
        return [Warned("flat", spread < 0.01, spread, 0.01, "The table learnt nothing.")]


def _pairs(samples) -> tuple[torch.Tensor, torch.Tensor]:
    histories = samples.histories()
    last = torch.as_tensor(histories.location[histories.last], dtype=torch.long)
    return last, torch.as_tensor(histories.target, dtype=torch.long)


def small_city(name: str = "Small", people: int = 4, days: int = 60, places: int = 12, seed: int = 0) -> City:
    """People who walk round and round: from place i the next is mostly i + 1. Three visits a day each."""
    generator = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        place = int(generator.integers(places))
        for day in range(days):
            for hour in (8, 13, 19):
                place = (place + 1) % places if generator.random() < 0.85 else int(generator.integers(places))
                rows.append((f"u{person}", f"l{place}", pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day, hours=hour)))
    visits = pd.DataFrame(rows, columns=["user_id", "location_id", "started_at"])
    visits["started_at"] = visits["started_at"].astype("datetime64[ns, UTC]")
    angle = 2 * np.pi * np.arange(places) / places
    locations = gpd.GeoDataFrame(
        {"location_id": [f"l{i}" for i in range(places)], "category": ["home", "work", "food"] * (places // 3)},
        geometry=gpd.points_from_xy(10 + 0.01 * np.cos(angle), 50 + 0.01 * np.sin(angle)),
        crs="EPSG:4326",
    )
    return City.build(name, {"visits": visits, "locations": locations}, time_zone="Europe/Berlin")


def register() -> None:
    """Adds the model to `MODELS` of this process, and makes the jobs it starts do the same."""
    from engine.runs import jobs

    models.MODELS = ChainMap({"bigram": Bigram}, models.MODELS)
    jobs.WORKER = ("-m", "tests.engine.runs.bigram", "work")


def shorten_evaluation() -> None:
    """Two baselines and one slice: these tests are about runs."""
    from engine.evaluation import report
    from engine.models import baselines

    baselines.BASELINES = {name: baselines.BASELINES[name] for name in ("last_place", "popularity")}
    report.SLICES = {"weekday": report.SLICES["weekday"]}


if __name__ == "__main__":
    from tests.engine.runs import bigram

    torch.set_num_threads(1)
    bigram.register()
    bigram.shorten_evaluation()
    from engine.runs.worker import work

    sys.exit(work(sys.argv[2]))
