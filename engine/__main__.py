"""`python -m engine ...`: the command line, and `work RUN_ID`, the process a job is."""

import sys


def main() -> None:
    """Runs a worker, or the command line; a worker does not pay for importing the latter."""
    if len(sys.argv) == 3 and sys.argv[1] == "work":
        from engine.runs.worker import work

        sys.exit(work(sys.argv[2]))
    from engine.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
