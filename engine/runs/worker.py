"""What a job does, from the claim to the last word: open the city, build, train, diagnose, evaluate, write."""

import contextlib
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

import engine
from engine import faults, store
from engine.errors import MobiscopeError, RunError, TrainingStopped
from engine.runs import jobs, registry
from engine.runs.folder import RunFolder
from engine.runs.progress import Progress, Superseded
from engine.runs.request import RunRequest

if TYPE_CHECKING:
    from engine.models.base import GridModel

EXIT_DONE, EXIT_FAILED, EXIT_NOT_OURS = 0, 1, 75
LOCK_SECONDS = 3.0
LAST_WORD_PAUSES = (0.2, 1.0, 5.0, 20.0)
HEADLINE = ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "f1", "distance_median_m")
CURVE_HEADLINE = ("r2", "r2_flow", "mae", "wape", "oa", "oa_near", "shape", "coverage")


def work(run_id: str) -> int:
    """Works on one run until it has ended.

    Returns:
        0 if it is done or was stopped on purpose, 1 if it failed, 75 if another worker has it or there is nothing to do.
    """
    try:
        folder = RunFolder(run_id)
        if not folder.exists:
            raise RunError(f"There is no run `{run_id}`.")
        lock = FileLock(str(folder.lock_path), timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"Run `{run_id}` is already being worked on by another process.") from None
    except RunError as error:
        _tell(str(error))
        return EXIT_NOT_OURS
    except OSError as error:
        _tell(f"The run's lock could not be taken: {error.strerror}.")
        return EXIT_FAILED
    try:
        try:
            attempt = _claim(run_id)
        except RunError as error:
            _tell(str(error))
            return EXIT_NOT_OURS
        except OSError as error:
            _tell(f"The run could not be claimed: {error.strerror}.")
            return EXIT_FAILED
        code = _attempt(folder, attempt)
    finally:
        lock.release()
    with contextlib.suppress(RunError, OSError):
        jobs.reap()  # starts what waits; if that cannot be done now, the next look at the runs does it
    return code


def _claim(run_id: str) -> int:
    """Makes the run ours. The lock is held, so a run that says RUNNING has lost its worker and may be taken over."""
    _offer_to_the_memory_killer()
    with registry.writing() as connection:
        row = registry.find(connection, run_id)
        if row["state"] not in ("PENDING", "RUNNING", "LOST"):
            raise RunError(f"Run `{run_id}` is {row['state']}; resume or retry it first.")
        attempt = int(row["attempt"]) + 1
        process = psutil.Process()
        registry.change(
            connection,
            run_id,
            state="RUNNING",
            attempt=attempt,
            launched_at=None,
            pid=process.pid,
            pid_created=process.create_time(),
            oom_kills=jobs.oom_kills(),
            started_at=registry.now(),
            ended_at=None,
            message="",
            stepped_at=None,
        )
    jobs.record_outcome(run_id)
    faults.point("run.claimed")
    return attempt


def _attempt(folder: RunFolder, attempt: int) -> int:
    folder.sweep()
    progress = Progress(folder, attempt)
    progress.say(f"Attempt {attempt} at {folder.id}, process {os.getpid()}, Mobiscope {engine.__version__}.")
    try:
        with _signals(progress):
            headline = _do(folder, progress)
        faults.point("run.done")
        state, message = "DONE", ""
    except Superseded:
        progress.say("Another worker has taken over; this one ends without a word to the registry.")
        return EXIT_NOT_OURS
    except TrainingStopped as error:
        on_purpose = error.reason in ("cancelled", "terminated")
        state, message, headline = "CANCELLED" if on_purpose else "FAILED", str(error), {}
    except MobiscopeError as error:
        state, message, headline = "FAILED", str(error), {}
    except Exception as error:
        with contextlib.suppress(OSError):
            traceback.print_exc()
        state, message, headline = "FAILED", _unforeseen(error), {}
    progress.say(message or "Done.")
    _finish(folder, attempt, progress, state, message, headline)
    return EXIT_FAILED if state == "FAILED" else EXIT_DONE


def _finish(folder: RunFolder, attempt: int, progress: Progress, state: str, message: str, headline: dict[str, float]) -> None:
    """Writes the last word, with patience: a full disk or a busy registry must not turn a finished run into a lost one."""
    values: dict[str, Any] = {"headline": json.dumps(headline)} if headline else {}
    values |= {"state": state, "message": message, "ended_at": registry.now(), "eta_s": None, "phase": ""}
    for pause in (*LAST_WORD_PAUSES, None):
        try:
            with registry.writing() as connection:
                ours = registry.change(connection, folder.id, owner=attempt, **values)
        except (RunError, OSError) as error:
            progress.say(f"The outcome could not be written: {error}")
            if pause is None:
                return  # the kernel frees the lock, and the next look finds the run lost
            time.sleep(pause)
        else:
            break
    if ours:
        jobs.record_outcome(folder.id)


def _do(folder: RunFolder, progress: Progress) -> dict[str, float]:
    """The phases of a run; returns the headline metrics."""
    import torch

    from engine.device import choose_device
    from engine.runs import building
    from engine.runs.model_folder import write_model
    from engine.training.checkpoints import Checkpoints
    from engine.training.loop import EpochDone, StepDone, Trainer

    record = folder.record()
    request = RunRequest.model_validate(record["request"])
    device = choose_device(request.device)
    progress.device = device.label
    if request.device not in ("auto", device.torch.type):
        raise RunError(
            f"The run asks for {request.device}, which is not here; this machine has {device.label}. Choose device auto."
        )

    progress.phase("opening the city")
    model_type = building.model_class(request.model)
    city = building.open_same_city(record["city"]["slug"], record["city"]["fingerprint"])
    data = building.prepare_data(city, request.split, model_type)

    progress.phase("building the model")
    config = building.saved_config(request.model, store.read_json(folder.config_path))
    model = model_type.build(config, data, request.seed, progress.note)
    data = building.with_inputs(data, model, progress.note)
    faults.point("run.built")
    stages = model.stages(data)
    facts = {
        "Mobiscope": engine.__version__,
        "torch": torch.__version__.split("+")[0],
        "settings": building.fingerprint(config.model_dump(mode="json")),
        "city data": city.fingerprint,
        "split": building.fingerprint(request.split.model_dump(mode="json")),
        "seed": str(request.seed),
        "vocabularies": building.fingerprint(model.artefacts()),
    }
    checkpoints = Checkpoints(folder.checkpoints, facts)
    found = checkpoints.resumable()
    progress.forget_after(found.step if found else 0)

    def on_step(done: StepDone) -> None:
        progress.phase(done.stage)
        progress.step(
            stage=done.stage,
            epoch=done.epoch,
            epochs=done.epochs,
            step=done.step,
            steps=done.steps,
            losses=done.losses,
            rate=done.rate,
            seconds=done.seconds,
        )

    def on_epoch(done: EpochDone) -> None:
        values = {f"{done.stage}/epoch_loss": done.loss} | {
            f"{done.stage}/valid_{name}": value for name, value in done.metrics.items()
        }
        progress.epoch(done.step, values, done.loss)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in done.metrics.items())
        progress.say(f"{done.stage}, epoch {done.epoch + 1}: loss {done.loss:.4f}; {shown}{' (best)' if done.improved else ''}")

    progress.phase(stages[0].name if stages else "training")
    Trainer(
        model,
        stages,
        seed=request.seed,
        device=device,
        checkpoints=checkpoints,
        checkpoint_seconds=float(os.environ.get("MOBISCOPE_CHECKPOINT_SECONDS", "30")),
        on_step=on_step,
        on_epoch=on_epoch,
        on_event=progress.event,
        should_stop=progress.stop_reason,
    ).train()
    faults.point("run.trained")

    progress.phase("diagnosing")
    warnings = [vars(warned) for warned in model.diagnose(data)]
    progress.phase("evaluating")
    headline = _evaluate(folder, model, city, data, request, warnings, progress)
    progress.phase("writing the model")
    weights = write_model(folder.model, model, request, city, headline)
    folder.update_record(weights_sha256=weights)
    return headline


def _evaluate(
    folder: RunFolder, model: Any, city: Any, data: Any, request: RunRequest, warnings: list[dict[str, Any]], progress: Progress
) -> dict[str, float]:
    import pandas as pd

    from engine.evaluation.report import evaluate
    from engine.models.base import GridModel
    from engine.models.baselines import fit_baselines

    _write_warnings(folder, warnings)
    progress.raise_if_stopped()
    if isinstance(model, GridModel):
        return _evaluate_curves(folder, model, city, data, request, warnings, progress)
    baselines = fit_baselines(data.samples.log, seed=request.seed)
    evaluation = evaluate([model, *baselines], data.samples.of_part("test"), city, progress.note)
    _write_table(folder, "predictions", evaluation.predictions)
    _write_table(folder, "metrics", evaluation.metrics)
    _write_table(folder, "ceilings", evaluation.ceilings)
    overall = evaluation.metrics.query("slice == 'all' and group == 'all'")
    values = overall[overall["predictor"] == model.name].set_index("metric")["value"]
    return {name: float(values[name]) for name in HEADLINE if name in values.index and pd.notna(values[name])}


def _evaluate_curves(
    folder: RunFolder,
    model: "GridModel",
    city: Any,
    data: Any,
    request: RunRequest,
    warnings: list[dict[str, Any]],
    progress: Progress,
) -> dict[str, float]:
    """The tables of a grid run: curves of all cells, figures per slice, and what the model says of itself."""
    from engine.evaluation.flow_report import evaluate_curves
    from engine.models.baselines.curve_base import UNTOLD
    from engine.models.baselines.curves import CURVE_BASELINES, fit_curve_baselines
    from engine.models.declarations import Warned

    baselines = fit_curve_baselines(data.inputs, data.cells, seed=request.seed, report=progress.note)
    fitted = {baseline.name for baseline in baselines}
    left_out = [
        reading for name, made in CURVE_BASELINES.items() if name not in fitted for reading in made.reads if reading in UNTOLD
    ]
    if left_out:
        said = " ".join(["How many baselines were left out.", *(UNTOLD[reading] for reading in dict.fromkeys(left_out))])
        # That nobody guessed a curve is usual and no fault; that the cells are all alike is one, of the model's inputs too.
        missed = Warned("baselines left out", "features" in left_out, len(left_out), left_out.count("guesses"), said)
        _write_warnings(folder, [*warnings, vars(missed)])
    progress.raise_if_stopped()
    predictors: list[Any] = [model, *baselines]
    evaluation = evaluate_curves(predictors, data.inputs, data.cells, city, progress.note, scale=model.scale)
    _write_table(folder, "predictions", evaluation.predictions)
    _write_table(folder, "metrics", evaluation.metrics)
    _write_table(folder, "bins", evaluation.bin_counts)
    _write_table(folder, "reliability", evaluation.reliability)
    for name, table in model.summaries(data).items():
        _write_table(folder, name, table)
    found = evaluation.headline(model.name)
    return {name: found[name] for name in CURVE_HEADLINE if name in found and math.isfinite(found[name])}


def _write_warnings(folder: RunFolder, warnings: list[dict[str, Any]]) -> None:
    import pandas as pd

    _write_table(folder, "warnings", pd.DataFrame(warnings, columns=["name", "fired", "value", "threshold", "meaning"]))


def _write_table(folder: RunFolder, name: str, frame: Any) -> None:
    faults.point("run.table")
    folder.tables.mkdir(exist_ok=True)
    with store.replacing(folder.tables / f"{name}.parquet") as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


@contextmanager
def _signals(progress: Progress) -> Iterator[None]:
    """SIGTERM and SIGINT save and stop instead of ending the process at once."""

    def stop(number: int, frame: Any) -> None:
        progress.ask_to_stop("terminated")

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unforeseen(error: Exception) -> str:
    from engine.training.checkpoints import is_disk_full
    from engine.training.loop import is_out_of_memory

    if is_disk_full(error):
        return "The disk is full. What was saved before is intact; free some space and resume the run."
    if is_out_of_memory(error):
        return "Memory ran out. Choose a smaller batch or model, or close other programs, and resume the run."
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}. The log has the details."


def _tell(sentence: str) -> None:
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def _offer_to_the_memory_killer() -> None:
    """When memory runs out the kernel should take this process, not the dashboard."""
    try:
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError:
        pass
