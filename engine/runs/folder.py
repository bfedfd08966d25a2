"""The folder of a run: what lies where, its id, and the record from which the registry can be rebuilt."""

import json
import random
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine import store
from engine.errors import MobiscopeError, RunError

RECORD_VERSION = 1
TAIL_BYTES = 1 << 18

WORDS = (
    "alder amber apple ash aspen avon azure bay beech birch blossom bramble breeze brook canyon cedar cherry cliff cloud "
    "clover cobalt copper coral cove creek crest crimson crystal cypress dale dawn delta dew dune dusk echo elm ember "
    "emerald fern field finch fjord flint forest fox garnet glade glen granite grove gull harbour hazel heath heron hill "
    "holly indigo iris island ivory ivy jade jasper juniper kestrel lagoon lake lark laurel lilac lily lime linden lotus "
    "magnolia maple marble marsh meadow mesa mint mist moon moss myrtle nectar oak ocean olive onyx opal orchid osprey "
    "otter owl palm pearl pebble pepper pine plum pond poplar prairie quartz rain raven reed ridge river robin rose rowan "
    "ruby saffron sage sand sapphire sea sequoia shore sierra silver sky slate snow sorrel spring spruce star stone stream "
    "summit swan swift thistle thyme tide timber topaz tulip valley vale violet walnut wave willow wind wren yarrow zephyr"
).split()


class RunFolder:
    """Paths of one run.

    `run.json` (request, settings, city, outcome), `config.json` (the model's settings), `data_card.json`, `metrics.jsonl`,
    `events.jsonl`, `checkpoints/`, `model/` (Hugging Face layout), `tables/*.parquet`, `log.txt`, `lock`.
    """

    def __init__(self, run_id: str) -> None:
        try:
            self.path = store.child(store.runs_folder(), run_id)
        except MobiscopeError:
            raise RunError(f"There is no run `{run_id[:80]}`. Choose one from the list of runs.") from None
        self.id = run_id
        self.record_path = self.path / "run.json"
        self.config_path = self.path / "config.json"
        self.data_card_path = self.path / "data_card.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.events_path = self.path / "events.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self.tables = self.path / "tables"
        self.log_path = self.path / "log.txt"
        self.lock_path = self.path / "lock"

    @property
    def exists(self) -> bool:
        """Whether there is such a run on disk."""
        return self.record_path.is_file()

    def record(self) -> dict[str, Any]:
        """What `run.json` holds.

        Raises:
            RunError: If it is absent, damaged, or of a newer Mobiscope.
        """
        if not self.path.is_dir():
            raise RunError(f"There is no run `{self.id}`. Choose one from the list of runs.")
        try:
            record = store.read_json(self.record_path)
            version = record["schema_version"]
        except (MobiscopeError, OSError, KeyError, TypeError) as error:
            raise RunError(f"Run `{self.id}` cannot be read: {error}") from None
        if version > RECORD_VERSION:
            raise RunError(
                f"Run `{self.id}` was written by a newer Mobiscope ({record.get('engine', 'unknown')}, record version {version}; "
                f"this one reads {RECORD_VERSION}). Update Mobiscope to open it."
            )
        return record

    def update_record(self, **changes: Any) -> None:
        """Changes fields of `run.json`, atomically."""
        store.write_json(self.record_path, self.record() | changes)

    def sweep(self) -> None:
        """Removes what a killed worker left half-written; only whoever holds the lock may do so."""
        for folder in (self.path, self.tables):
            for left in [*folder.glob(".tmp-*"), *folder.glob(".old-*")]:
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)

    def clear_results(self) -> None:
        """Forgets what training made, so that a retry begins anew; the log stays."""
        for folder in (self.checkpoints, self.model, self.tables):
            _remove_folder(folder)
        for path in (self.metrics_path, self.events_path):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes the folder; it vanishes from every list at once, its files right after."""
        _remove_folder(self.path)

    def log_tail(self, lines: int = 200) -> list[str]:
        """The last lines of the log; of a huge log only the end is read."""
        return tail(self.log_path, lines)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file, read from its end; empty if there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    found = text.splitlines()
    return (found[1:] if size > TAIL_BYTES and len(found) > 1 else found)[-lines:]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file; a line that a crash cut short is left out."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    value = json.loads(line)
                except ValueError:
                    continue
                if isinstance(value, dict):
                    yield value
    except FileNotFoundError:
        return


def new_folder(model: str, day: datetime | None = None) -> RunFolder:
    """Makes an empty folder with a fresh id `<date>-<model>-<word>`."""
    chooser = random.SystemRandom()
    date = (day or datetime.now(UTC)).date().isoformat()
    plain = re.sub(r"[^a-z0-9]+", "", model.lower()) or "model"
    store.runs_folder().mkdir(parents=True, exist_ok=True)
    for attempt in range(10_000):
        word = chooser.choice(WORDS)
        folder = RunFolder(f"{date}-{plain}-{word}" if attempt < 20 else f"{date}-{plain}-{word}-{chooser.randrange(10**6)}")
        try:
            folder.path.mkdir()
        except FileExistsError:
            continue
        return folder
    raise RunError("No free name was found for the run; delete some old ones.")


def all_folders() -> list[RunFolder]:
    """The runs on disk, by id."""
    try:
        entries = sorted(path for path in store.runs_folder().iterdir() if path.is_dir() and not path.is_symlink())
    except FileNotFoundError:
        return []
    return [RunFolder(path.name) for path in entries if not path.name.startswith(".") and (path / "run.json").is_file()]


def _remove_folder(path: Path) -> None:
    if not path.exists():
        return
    leaving = path.with_name(f".old-{uuid.uuid4().hex[:12]}")
    path.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)
