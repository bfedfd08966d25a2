"""Run folders, the registry and background jobs. Importing this does not import torch; loading a run does."""

from engine.runs.jobs import cancel, delete, force_stop, reap, rename, resume, retry, slots, start_waiting, submit
from engine.runs.request import ENDED, RunRequest, RunStatus, RunSummary, State
from engine.runs.run import LoadedRun, Run, cost_of_replacing, list_runs, runs_on

__all__ = [
    "ENDED",
    "LoadedRun",
    "Run",
    "RunRequest",
    "RunStatus",
    "RunSummary",
    "State",
    "cancel",
    "cost_of_replacing",
    "delete",
    "force_stop",
    "list_runs",
    "reap",
    "rename",
    "resume",
    "retry",
    "runs_on",
    "slots",
    "start_waiting",
    "submit",
]
