"""Commands about runs: train, and list, show, cancel, resume, rename, delete; and the command line a form shows."""

import shlex
import time
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column, Table

from engine.cli.asking import print_metrics
from engine.cli.terminal import AsJson, RunId, err, out, print_json, values, word


def command_for(request: Any) -> str:
    """The command line that does what a form is about to do.

    Args:
        request: A `RunRequest`. Settings that are the preset's own are left out.
    """
    from engine.city.splits import Split
    from engine.runs.building import model_class
    from engine.runs.request import plain_split

    preset = model_class(request.model).Config.preset(request.preset).model_dump(mode="json")
    words = ["mobiscope", "train", request.model, "--city", request.city, "--preset", request.preset]
    for field, value in request.config.items():
        if field not in preset or value != preset[field]:
            words += ["--set", f"{field}={word(value)}"]
    plain = plain_split(request.model).model_dump(mode="json")
    for field, value in request.split.model_dump(mode="json").items():
        # The kind that is proposed depends on the city, so a visit split always names its own.
        if value != plain[field] or (field == "kind" and isinstance(request.split, Split)):
            words += ["--split", f"{field}={word(value)}"]
    for option in ("seed", "name", "device"):
        if getattr(request, option) != type(request).model_fields[option].default:
            words += [f"--{option}", str(getattr(request, option))]
    return shlex.join(words)


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Key of a model, e.g. calliper.")],
    city: Annotated[str, typer.Option(help="Name or slug of a saved city.")],
    preset: Annotated[str, typer.Option(help="Named settings of the model.")] = "demo",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting. Repeatable.")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Change the split. Repeatable; the kind is `published` where the city has one, else `chronological`; also `session`, "
            "and `user`, which tests on people that training never sees.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws weights, batches and dropout.")] = 0,
    name: Annotated[str, typer.Option(help="What to call the run.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start training in the background and print the run's id; `--wait` follows it."""
    from engine.city.city import open_city
    from engine.runs import Run, RunRequest, submit
    from engine.runs.request import proposed_kind

    fields = {"model": model, "city": city, "preset": preset, "seed": seed, "name": name, "device": device}
    parts = {"kind": proposed_kind(model, open_city(city)), **values(split, "--split")}
    request = RunRequest.model_validate(fields | {"config": values(settings, "--set"), "split": parts})
    run_id = submit(request)
    if not wait:
        print_json({"run": run_id, **status_json(run_id)}) if as_json else out.print(run_id)
        return
    if not as_json:
        out.print(run_id)
    status = _follow(run_id, as_json)
    if as_json:
        print_json({"run": run_id, **status_json(run_id), "headline": Run.open(run_id).summary.headline})
    elif status.state == "DONE":
        print_metrics(Run.open(run_id), "all")
    _fail_unless_done(status)


def runs(context: typer.Context, as_json: AsJson = False) -> None:
    """List runs, look at one, cancel, resume, rename or delete it."""
    if context.invoked_subcommand is not None:
        return
    from engine.runs import list_runs

    found = list_runs()
    if as_json:
        print_json([run.model_dump(mode="json") for run in found])
        return
    table = Table(
        Column("run", no_wrap=True), "name", "model", "city", "preset", "state", "result", Column("started", no_wrap=True)
    )
    for run in found:
        result = _result(run.headline)
        began = f"{run.created_at:%Y-%m-%d %H:%M}"
        table.add_row(*map(escape, (run.id, run.name, run.model, run.city_name, run.preset, run.state, result, began)))
    out.print(table if found else "No runs yet. Start one with `mobiscope train`.")


def _result(headline: dict[str, float]) -> str:
    """The one figure by which runs of a task are compared."""
    if "acc@1" in headline:
        return f"Acc@1 {headline['acc@1']:.1%}"
    return f"R² {headline['r2']:.3f}" if "r2" in headline else "–"


def show(run: RunId, as_json: AsJson = False) -> None:
    """Where a run stands, what was asked, and the end of its log."""
    from engine.runs import Run

    opened = Run.open(run)
    if as_json:
        summary = opened.summary.model_dump(mode="json")
        print_json(summary | status_json(run) | {"request": opened.request.model_dump(mode="json"), "events": opened.events()})
        return
    for key, value in status_json(run).items():
        if value not in (None, "", False):
            out.print(escape(f"{key:>10}  {value}"), soft_wrap=True)
    out.print(escape(f"{'command':>10}  {command_for(opened.request)}"), soft_wrap=True)
    for line in opened.log_tail(15):
        out.print(escape(line), style="dim", soft_wrap=True)


def cancel(
    run: RunId,
    force: Annotated[bool, typer.Option("--force", help="End the process if it does not stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a run save and stop, or take it out of the queue."""
    from engine.runs import cancel as cancel_run
    from engine.runs import force_stop

    (force_stop if force else cancel_run)(run)
    print_json(status_json(run)) if as_json else out.print(status_json(run)["state"])


def resume(
    run: RunId,
    anew: Annotated[bool, typer.Option("--anew", help="Forget its checkpoints and train it from the first step.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Continue a run that ended early, from its newest checkpoint."""
    from engine.runs import resume as resume_run
    from engine.runs import retry

    (retry if anew else resume_run)(run)
    status = _follow(run, as_json) if wait else None
    print_json(status_json(run)) if as_json else out.print(status_json(run)["state"])
    if status is not None:
        _fail_unless_done(status)


def rename(run: RunId, name: Annotated[str, typer.Argument(help="New name; the id stays.")], as_json: AsJson = False) -> None:
    """Give a run another name."""
    from engine.runs import Run
    from engine.runs import rename as rename_run

    rename_run(run, name)
    print_json(Run.open(run).summary.model_dump(mode="json")) if as_json else out.print(escape(Run.open(run).summary.name))


def delete(run: RunId, as_json: AsJson = False) -> None:
    """Delete a run with all its files; a running one is refused."""
    from engine.runs import delete as delete_run

    delete_run(run)
    print_json({"deleted": run}) if as_json else out.print(escape(f"Deleted {run}."))


def work(run: RunId) -> None:
    """Work on a run in this process; what a job does (`python -m engine work RUN`)."""
    from engine.runs.worker import work as work_on

    raise typer.Exit(work_on(run))


def status_json(run_id: str) -> dict[str, Any]:
    """A run's status as plain JSON values."""
    from engine.runs import Run

    return Run.open(run_id).status().model_dump(mode="json")


def _follow(run_id: str, quiet: bool) -> Any:
    """Shows a run's progress until it has ended; interrupting the wait leaves the run alone."""
    from engine.runs import Run

    run = Run.open(run_id)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    try:
        with Progress(*columns, console=err, disable=quiet, transient=True) as bar:
            task = bar.add_task(run_id, total=1.0, note="")
            while True:
                status = run.status()
                waiting = f"waiting, position {status.position}" if status.position else status.phase
                parts = [f"step {status.step:,} of at most {status.steps:,}"] if status.steps else []
                parts += [f"loss {status.loss:.3f}"] if status.loss is not None else []
                parts += [f"at most {_duration(status.eta_s)} left"] if status.eta_s else []
                parts += [status.message] if status.message else []
                note = escape(", ".join(parts))
                bar.update(task, description=escape(waiting or status.state), completed=status.share, note=note)
                if status.has_ended:
                    return status
                time.sleep(0.5)
    except KeyboardInterrupt:
        err.print(escape(f"{run_id} goes on in the background; `mobiscope runs cancel {run_id}` stops it."), soft_wrap=True)
        raise


def _fail_unless_done(status: Any) -> None:
    """Ends with code 1 and the sentence if a run that was waited for did not finish."""
    if status.state != "DONE":
        err.print(escape(f"The run is {status.state}. {status.message}"), soft_wrap=True)
        raise typer.Exit(1)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
