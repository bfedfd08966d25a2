"""Lines of Python that give the numbers of a panel, for its export menu where no command does."""

from collections.abc import Sequence

from pydantic import BaseModel


def of_table(run_id: str, name: str, more: str = "") -> str:
    """A table of a run, and what is done with it, such as `.query("part == 2")`."""
    return _lines(("from engine.runs import Run",), f"Run.open({run_id!r}).table({name!r}){more}")


def of_run(run_id: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines about a run and its tables, called `run`; its model is not loaded."""
    return _lines(("from engine.runs import Run", *imports), f"run = Run.open({run_id!r})", *lines)


def of_runs(run_ids: Sequence[str], *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines about several runs, called `runs`."""
    return _lines(("from engine.runs import Run", *imports), f"runs = [Run.open(run) for run in {list(run_ids)!r}]", *lines)


def of_model(run_id: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines about a run that is loaded with its model and data, called `run`."""
    return _lines(("from engine.runs import Run", *imports), f"run = Run.open({run_id!r}).load()", *lines)


def of_city(slug: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines about a saved city, called `city`."""
    return _lines(("from engine.city.city import open_city", *imports), f"city = open_city({slug!r})", *lines)


def made_again(config: BaseModel) -> str:
    """The call that makes these settings, without those that are as usual."""
    given = config.model_dump(exclude_defaults=True).items()
    return f"{type(config).__name__}({', '.join(f'{name}={value!r}' for name, value in given)})"


def _lines(imports: Sequence[str], *lines: str) -> str:
    # Modules before names out of modules, both in the order of the alphabet.
    return "\n".join([*sorted(set(imports), key=lambda line: (line.startswith("from"), line)), "", *lines])
