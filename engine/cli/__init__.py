"""The command line: the same configuration objects as the forms, progress bars, `--json`, and exit codes that scripts can trust.

0: done. 1: refused or failed, with the sentence on standard error. 2: wrong usage. Heavy modules are imported by the command that
needs them, so that `--help` is immediate.
"""

import sys
from collections.abc import Sequence

import typer
from pydantic import ValidationError
from rich.markup import escape

import engine
from engine.cli import asking, captions, cities, experts, runs
from engine.cli.runs import command_for
from engine.cli.terminal import err, out, print_json
from engine.errors import IngestError, MobiscopeError, settings_sentence

__all__ = ["app", "command_for", "main"]

app = typer.Typer(
    help="A microscope for human-mobility models: bring a city, train a model on it, look inside.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(cities.synth)
app.command()(cities.ingest)
app.command()(cities.describe)
app.command()(captions.caption)
app.command()(cities.export)
app.command()(runs.train)
app.command()(asking.evaluate)
app.command()(asking.predict)
app.command()(asking.whatif)
app.command()(experts.experts)
app.command()(experts.elsewhere)
app.command(hidden=True)(runs.work)

runs_app = typer.Typer(invoke_without_command=True)
runs_app.callback()(runs.runs)
runs_app.command()(runs.show)
runs_app.command()(runs.cancel)
runs_app.command()(runs.resume)
runs_app.command()(runs.rename)
runs_app.command()(runs.delete)
app.add_typer(runs_app, name="runs")


@app.command()
def version() -> None:
    """Print the version."""
    out.print(engine.__version__)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `mobiscope`; always ends by raising SystemExit."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(args=list(arguments), prog_name="mobiscope")
    except (MobiscopeError, ValidationError) as error:
        sentence = settings_sentence(error) if isinstance(error, ValidationError) else str(error)
        if "--json" in arguments:
            problems = [vars(problem) for problem in error.problems] if isinstance(error, IngestError) else []
            print_json({"error": sentence} | ({"problems": problems} if problems else {}))
        err.print(escape(sentence), soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
