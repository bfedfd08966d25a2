"""Runs as the screen and the command line see them: list, status, curves, tables, and the trained model to look into."""

import contextlib
import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError

from engine import store
from engine.errors import MobiscopeError, RunError, settings_sentence
from engine.runs import jobs, registry
from engine.runs.folder import RunFolder, read_lines
from engine.runs.request import RunRequest, RunStatus, RunSummary

if TYPE_CHECKING:
    from engine.city.city import City
    from engine.models.base import Data, MobilityModel

STALLED_STEPS = 10
STALLED_SECONDS = 60.0
MOST_NAMED = 8


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """A trained model on its city, ready to be asked.

    Attributes:
        model: In evaluation mode, with the weights of the run.
        data: City, split and samples (or cells and their inputs) it was trained on.
        device: Label of the device it lies on.
    """

    model: "MobilityModel"
    data: "Data"
    device: str


class Run:
    """One run, looked up afresh with every question."""

    def __init__(self, run_id: str) -> None:
        self.folder = RunFolder(run_id)
        self.id = run_id

    @classmethod
    def open(cls, run_id: str) -> "Run":
        """A run by its id.

        Raises:
            RunError: If there is none.
        """
        run = cls(run_id)
        with registry.reading() as connection:
            registry.find(connection, run_id)
        return run

    @property
    def request(self) -> RunRequest:
        """What was asked for.

        Raises:
            RunError: If the record is damaged or was made by another version.
        """
        record = self.folder.record()
        try:
            return RunRequest.model_validate(record["request"])
        except (ValidationError, KeyError) as error:
            reason = settings_sentence(error) if isinstance(error, ValidationError) else f"It lacks {error}."
            raise RunError(
                f"Run `{self.id}` was made by Mobiscope {record.get('engine', 'unknown')} and its request cannot be read. {reason}"
            ) from None

    def again(self, **changes: Any) -> RunRequest:
        """The request that trains this run once more, with its own settings in full: its preset may have changed since.

        Args:
            changes: Fields of the request that differ, such as the city, the split or the name.

        Raises:
            RunError: As in `request`.
        """
        return RunRequest.model_validate(self.request.model_dump() | {"config": self.config} | changes)

    @property
    def config(self) -> dict[str, Any]:
        """The model's settings in full."""
        found: dict[str, Any] = store.read_json(self.folder.config_path)
        return found

    @property
    def summary(self) -> RunSummary:
        """The row of the list of runs."""
        with registry.reading() as connection:
            return _summary(registry.find(connection, self.id))

    def status(self) -> RunStatus:
        """Where the run stands; looks first whether its worker is alive."""
        _look_after_workers()
        with registry.reading() as connection:
            row = registry.find(connection, self.id)
            position = None
            if row["state"] == "PENDING" and row["launched_at"] is None:
                position = connection.execute(
                    "SELECT count(*) FROM runs WHERE state = 'PENDING' AND launched_at IS NULL AND (queued_at, id) <= (?, ?)",
                    (row["queued_at"], row["id"]),
                ).fetchone()[0]
        return RunStatus(
            **{key: row[key] for key in ("state", "phase", "step", "steps", "epoch", "epochs", "loss", "eta_s", "memory_mb")},
            **{key: row[key] for key in ("device", "message", "attempt")},
            position=position,
            stopping=bool(row["cancel"]) and row["state"] in ("PENDING", "RUNNING"),
            stalled=_is_stalled(row),
        )

    def curves(self) -> pd.DataFrame:
        """What was measured on the way: (step, t, key, value), keys `<stage>/<term>`, t in seconds since 1970 UTC."""
        frame = pd.DataFrame(list(read_lines(self.folder.metrics_path)), columns=["step", "t", "key", "value"])
        return frame.drop_duplicates(["step", "key"], keep="last").sort_values(["step", "t"], kind="stable").reset_index(drop=True)

    def events(self) -> list[dict[str, Any]]:
        """Early stops, restarts, resumes, micro-batches: {t, attempt, event, message}, oldest first."""
        return list(read_lines(self.folder.events_path))

    def tables(self) -> list[str]:
        """Names of the tables the run has."""
        return sorted(path.stem for path in self.folder.tables.glob("[!.]*.parquet"))

    def table(self, name: str) -> pd.DataFrame:
        """One result table: `predictions`, `metrics`, `warnings`; `ceilings` or, for a grid run, `bins`, `reliability` and `alignment`.

        Raises:
            RunError: If the run has no such table, or it is damaged.
        """
        try:
            path = store.child(self.folder.tables, f"{name}.parquet")
            return pd.read_parquet(path)
        except (FileNotFoundError, MobiscopeError):
            known = ", ".join(self.tables())
            raise RunError(
                f"Run `{self.id}` has no table `{name[:40]}`; " + (f"it has {known}." if known else "it has none yet.")
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"Table `{name}` of run `{self.id}` is damaged ({error}). Resume or train the run again.") from None

    def log_tail(self, lines: int = 200) -> list[str]:
        """The last lines of the worker's log."""
        return self.folder.log_tail(lines)

    def city(self) -> "City":
        """The city the run was made on.

        Raises:
            RunError: If it is gone or has changed.
        """
        from engine.runs.building import open_same_city

        record = self.folder.record()
        return open_same_city(record["city"]["slug"], record["city"]["fingerprint"])

    def load(self, device: str = "auto") -> LoadedRun:
        """Opens city and model: rebuilt from settings, split and seed, then given the saved weights.

        Raises:
            RunError: If the run is not done, or its city, version, vocabularies or weights are not those it was saved with.
        """
        from engine.device import choose_device
        from engine.runs import building
        from engine.runs.model_folder import read_config, read_model

        record = self.folder.record()
        if not (self.folder.model / "config.json").is_file():
            state = self.summary.state
            raise RunError(
                f"Run `{self.id}` has no trained model: it is {state}." + (" Wait until it is done." if state == "RUNNING" else "")
            )
        read_config(self.folder.model)
        request = self.request
        city = building.open_same_city(record["city"]["slug"], record["city"]["fingerprint"])
        model_type = building.model_class(request.model)
        data = building.prepare_data(city, request.split, model_type)
        try:
            model = model_type.build(building.saved_config(request.model, self.config), data, request.seed)
        except MobiscopeError as error:
            raise RunError(
                f"Run `{self.id}`, made by Mobiscope {record.get('engine', 'unknown')}, cannot be rebuilt here: {error}"
            ) from None
        chosen = choose_device(device)
        model.to(chosen.torch)
        read_model(self.folder.model, model, city)
        return LoadedRun(model, building.with_inputs(data, model), chosen.label)

    def cancel(self) -> None:
        """See `jobs.cancel`."""
        jobs.cancel(self.id)

    def resume(self) -> None:
        """See `jobs.resume`."""
        jobs.resume(self.id)

    def rename(self, name: str) -> None:
        """See `jobs.rename`."""
        jobs.rename(self.id, name)

    def delete(self) -> None:
        """See `jobs.delete`."""
        jobs.delete(self.id)


def list_runs() -> list[RunSummary]:
    """All runs, newest first; looks first whether workers are alive."""
    _look_after_workers()
    with registry.reading() as connection:
        rows = connection.execute("SELECT * FROM runs ORDER BY created_at DESC, id").fetchall()
    return [_summary(row) for row in rows]


def runs_on(slug: str) -> list[RunSummary]:
    """The runs of a saved city, newest first; they open only while its data are those they were made on."""
    return [run for run in list_runs() if run.city == slug]


def cost_of_replacing(slug: str) -> str:
    """What is lost when other data take the place of a saved city, in a sentence; empty where no city has that slug."""
    if not (store.cities_folder() / slug / "city.json").is_file():
        return ""
    runs = runs_on(slug)
    if not runs:
        return f"A city is kept as `{slug}` already, and would be replaced; no run was trained on it."
    named = [f"`{run.id}`" + (f" ({run.name})" if run.name != run.id else "") for run in runs]
    more = [f"{len(runs) - MOST_NAMED} more"] if len(runs) > MOST_NAMED else []
    return (
        f"A city is kept as `{slug}` already. If it is replaced, what was trained on it can no longer be opened: "
        f"{', '.join([*named[:MOST_NAMED], *more])}."
    )


def _look_after_workers() -> None:
    """Finds dead workers; where that cannot be written down (a full disk), what is known can still be read."""
    with contextlib.suppress(RunError):
        jobs.reap()


def _summary(row: sqlite3.Row) -> RunSummary:
    keys = (
        "id",
        "name",
        "model",
        "city",
        "city_name",
        "preset",
        "seed",
        "state",
        "attempt",
        "created_at",
        "started_at",
        "ended_at",
        "message",
    )
    return RunSummary(**{key: row[key] for key in keys}, headline=json.loads(row["headline"]))


def _is_stalled(row: sqlite3.Row) -> bool:
    if row["state"] != "RUNNING" or row["step_s"] is None or row["stepped_at"] is None:
        return False
    return time.time() - row["stepped_at"] > max(STALLED_SECONDS, STALLED_STEPS * row["step_s"])
