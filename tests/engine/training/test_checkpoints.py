import errno
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import RunError, TrainingStopped
from engine.training import checkpoints
from engine.training.checkpoints import Checkpoints, is_disk_full
from engine.training.weights import read_weights, write_weights

WEIGHTS = {"table": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(4)}
TRAINING = {"position": {"step": 5}, "optimiser": {"state": {0: torch.ones(2)}}, "names": ["a", None]}


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", {"city data": "c" * 64, "torch": "2.13.0"})


class TestSaving:
    def test_what_was_saved_comes_back(self, store: Checkpoints) -> None:
        best = {name: value + 1 for name, value in WEIGHTS.items()}
        store.save(5, WEIGHTS, TRAINING, (3, best))
        found = store.latest()
        assert found is not None
        assert found.step == 5
        assert torch.equal(found.weights(WEIGHTS)["table"], WEIGHTS["table"])
        assert torch.equal(found.best_weights(WEIGHTS)["table"], best["table"])
        training = found.training()
        assert training["position"] == {"step": 5}
        assert torch.equal(training["optimiser"]["state"][0], torch.ones(2))

    def test_the_last_two_and_the_best_they_need_are_kept(self, store: Checkpoints) -> None:
        for step, best in ((1, None), (2, 2), (3, 2), (4, 4), (5, 4)):
            store.save(step, WEIGHTS, TRAINING, (best, WEIGHTS) if best else None)
        assert sorted(path.name for path in store.folder.iterdir()) == ["LATEST", "best-00000004", "step-00000004", "step-00000005"]
        assert (store.folder / "LATEST").read_text() == "step-00000005\n"

    def test_tensors_that_share_memory_are_saved_each(self, store: Checkpoints) -> None:
        shared = torch.ones(3)
        store.save(1, {"in": shared, "out": shared, "part": torch.arange(6.0)[::2]}, {}, None)
        assert torch.equal(
            store.latest().weights({"in": shared, "out": shared, "part": shared})["part"], torch.tensor([0.0, 2.0, 4.0])
        )

    def test_what_an_interrupted_write_left_is_swept_at_the_start(self, store: Checkpoints) -> None:
        (store.folder / ".tmp-abc").mkdir()
        (store.folder / ".tmp-abc" / "model.safetensors").write_bytes(b"half")
        (store.folder / ".tmp-def-LATEST").write_text("half")
        assert list(Checkpoints(store.folder).folder.iterdir()) == []


class TestDamage:
    def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(self, store: Checkpoints) -> None:
        for damage in (b"", b"x", None):
            store.save(1, WEIGHTS, TRAINING, None)
            store.save(2, WEIGHTS, TRAINING, None)
            file = store.folder / "step-00000002" / "model.safetensors"
            file.unlink() if damage is None else file.write_bytes(file.read_bytes()[:-4] + damage)
            assert store.latest().step == 1
            shutil.rmtree(store.folder / "step-00000002")

    @pytest.mark.parametrize("content", [None, "", "step-00000009\n", "../../etc\n", "\udcff"])
    def test_a_missing_or_senseless_latest_does_no_harm(self, store: Checkpoints, content: str | None) -> None:
        store.save(1, WEIGHTS, TRAINING, None)
        store.save(2, WEIGHTS, TRAINING, None)
        latest = store.folder / "LATEST"
        latest.unlink() if content is None else latest.write_bytes(content.encode("utf-8", "surrogateescape"))
        assert store.latest().step == 2

    def test_nothing_usable_is_nothing(self, store: Checkpoints) -> None:
        assert store.latest() is None
        (store.folder / "step-00000001").mkdir()
        (store.folder / "step-00000001" / "manifest.json").write_text('{"schema_version": 1, "files": {"../../x": "y"}}')
        assert store.latest() is None

    @pytest.mark.parametrize(
        ("fact", "words"),
        [("city data", "city data cccccccccccc… this process has dddddddddddd…"), ("torch", "torch 2.13.0, this process has 3.0")],
    )
    def test_another_city_or_version_is_refused_naming_both(self, store: Checkpoints, fact: str, words: str) -> None:
        store.save(7, WEIGHTS, TRAINING, None)
        other = Checkpoints(store.folder, {**store.facts, fact: "d" * 64 if fact == "city data" else "3.0"})
        with pytest.raises(RunError) as refusal:
            other.resumable()
        assert words.replace("… this", "…, this") in str(refusal.value)
        assert "retry the run" in str(refusal.value)
        assert store.resumable().step == 7


class TestMalice:
    def test_a_pickle_in_place_of_the_training_state_is_not_opened(self, store: Checkpoints, tmp_path: Path) -> None:
        marker = tmp_path / "ran"

        class Payload:
            def __reduce__(self):
                return os.system, (f"touch {marker}",)

        store.save(1, WEIGHTS, TRAINING, None)
        found = store.latest()
        evil = found.folder / "training.pt"
        evil.write_bytes(pickle.dumps(Payload()))
        with pytest.raises(RunError, match="not the file that was written"):
            found.training()
        assert store.latest() is None, "it does not count as a checkpoint any more"
        # Even with a forged manifest nothing but tensors and plain values is built.
        manifest = json.loads((found.folder / "manifest.json").read_text())
        manifest["files"]["training.pt"] = checkpoints.sha256(evil)
        (found.folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(pickle.UnpicklingError):
            store.latest().training()
        assert not marker.exists()

    @pytest.mark.parametrize("kind", ["pickle", "bloated", "lies", "truncated", "garbage", "empty", "deep"])
    def test_weights_that_are_no_safetensors_are_refused(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "model.safetensors"
        write_weights(path, WEIGHTS)
        whole = path.read_bytes()
        header = json.dumps({"table": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
        buffer = io.BytesIO()
        torch.save(WEIGHTS, buffer)
        path.write_bytes(
            {
                "pickle": buffer.getvalue(),
                "bloated": struct.pack("<Q", 2**62) + b"{}",
                "lies": struct.pack("<Q", len(header)) + header,
                "truncated": whole[:-3],
                "garbage": os.urandom(500),
                "empty": b"",
                "deep": struct.pack("<Q", 40_000) + b"[" * 40_000,
            }[kind]
        )
        with pytest.raises(RunError, match=r"safetensors"):
            read_weights(path, WEIGHTS)

    def test_weights_of_another_model_or_with_nan_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        for state, words in (
            (
                {"table": torch.zeros(2, 4), "count": torch.tensor(4)},
                r"`table` is \(\(2, 4\), 'F32'\) where the model has \(\(2, 3\)",
            ),
            ({"table": torch.zeros(2, 3, dtype=torch.float64), "count": torch.tensor(4)}, "F64"),
            ({"table": torch.zeros(2, 3)}, "it lacks `count`"),
            ({**WEIGHTS, "extra": torch.zeros(1)}, "holds `extra`"),
            (
                {"table": torch.tensor([[0.0, torch.nan, 0], [0, 0, 0]]), "count": torch.tensor(4)},
                "`table` holds values that are not finite",
            ),
        ):
            save_file(state, path)
            with pytest.raises(RunError, match=words):
                read_weights(path, WEIGHTS)
        with pytest.raises(RunError, match="missing"):
            read_weights(tmp_path / "nothing.safetensors", WEIGHTS)


class TestFullDisk:
    def test_too_little_space_is_refused_before_anything_is_written(
        self, store: Checkpoints, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save(1, WEIGHTS, TRAINING, None)
        monkeypatch.setenv(checkpoints.RESERVE_VARIABLE, str(10**9))
        with pytest.raises(TrainingStopped, match=r"The disk is full: the checkpoint of step 2.*one before it is intact") as stop:
            store.save(2, WEIGHTS, TRAINING, None)
        assert stop.value.reason == "disk_full"
        assert sorted(path.name for path in store.folder.iterdir()) == ["LATEST", "step-00000001"]

    def test_what_counts_as_a_full_disk(self) -> None:
        assert is_disk_full(OSError(errno.ENOSPC, "x"))
        assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
        assert not is_disk_full(OSError(errno.EIO, "x"))

    def test_a_disk_that_fills_up_while_writing_leaves_the_old_checkpoint(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a real file system of 3 MB, without the check in advance."""
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False)
        if mount.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {mount.stderr.decode().strip()}")
        try:
            monkeypatch.setattr(Checkpoints, "_check_space", lambda self, weights: None)
            store = Checkpoints(disk / "checkpoints")
            large = {"table": torch.ones(1_000_000 // 4)}
            store.save(1, large, TRAINING, None)
            (disk / "filler").write_bytes(b"x" * 1_500_000)
            for step in (2, 3):
                with pytest.raises(TrainingStopped, match="disk is full"):
                    store.save(step, large, TRAINING, None)
            with pytest.raises(TrainingStopped, match="disk is full"):
                store.save(4, {"table": torch.ones(10)}, {"big": torch.ones(1_000_000 // 4)}, None)
            assert sorted(path.name for path in store.folder.iterdir()) == ["LATEST", "step-00000001"]
            assert torch.equal(store.latest().weights(large)["table"], large["table"])
            (disk / "filler").unlink()
            store.save(5, large, TRAINING, None)
            assert store.latest().step == 5
        finally:
            subprocess.run(["umount", str(disk)], check=True)
