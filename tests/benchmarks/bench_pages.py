"""How long a page's script takes when everything it needs is warm, and how big the decks it sends are. Run with a home that has runs:

MOBISCOPE_HOME=... python tests/benchmarks/bench_pages.py --city aldhaven [--run ID] [--json]

Without MOBISCOPE_HOME a home is made for the measurement: the built-in city and a `tiny` run on it.

Budget: 400 ms per script on the built-in city, 2 MB per deck (measured on the city and train maps). Exit 1 when a page breaks or is over.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

BUDGET_MS, BUDGET_BYTES = 400, 2_000_000


def measure(page: str, query: dict[str, str], repeats: int) -> dict[str, float | str]:
    """Median and worst milliseconds of a page's script, after two runs that fill the caches."""
    from streamlit.testing.v1 import AppTest

    at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=300)
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    if page != "home":
        at.switch_page(str(ROOT / "pages" / f"{page}.py"))
    at.run()
    at.run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        at.run()
        times.append(1000 * (time.perf_counter() - started))
    broken = [item.value for item in at.exception] + [item.value for item in at.error if "reference" in item.value]
    decks = [len(chart.proto.json) for chart in at.get("deck_gl_json_chart") if hasattr(chart.proto, "json")]
    return {
        "page": page,
        "median_ms": round(statistics.median(times), 1),
        "worst_ms": round(max(times), 1),
        "largest_deck_bytes": max(decks, default=0),
        "broken": "; ".join(broken),
    }


def make_home() -> tuple[str, str]:
    """Puts the built-in city and a finished run into the home; returns the slug and the run's id."""
    from engine.city.synthetic import synthesise
    from engine.runs import Run, RunRequest, submit

    city = synthesise("demo").save()
    assert city.folder is not None
    run_id = submit(RunRequest(model="calliper", city=city.folder.name, preset="tiny"))
    while not Run.open(run_id).status().has_ended:
        time.sleep(1)
    return city.folder.name, run_id


def main() -> int:
    """Measures every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--city", default="aldhaven")
    parser.add_argument("--run", default="")
    parser.add_argument("--pages", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if not os.environ.get("MOBISCOPE_HOME"):
        os.environ["MOBISCOPE_HOME"] = tempfile.mkdtemp(prefix="mobiscope-bench-")
        arguments.city, arguments.run = make_home()
    from engine.city.city import open_city

    open_city(arguments.city)  # a page without a city is quick and proves nothing
    import streamlit

    from dashboard.navigation import GROUPS

    query = {"city": arguments.city} | ({"run": arguments.run} if arguments.run else {})
    pages = arguments.pages or [page for group in GROUPS.values() for page in group]
    rows = [measure(page, query, arguments.repeats) for page in pages]
    if arguments.json:
        print(json.dumps(rows))
    else:
        print(
            f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, Streamlit {streamlit.__version__}"
        )
        for row in rows:
            print(
                f"{row['page']:15} median {row['median_ms']:7.1f} ms  worst {row['worst_ms']:7.1f} ms  "
                f"deck {row['largest_deck_bytes'] / 1e6:5.2f} MB  {row['broken'] and 'BROKEN: ' + str(row['broken'])}"
            )
    over = [row for row in rows if row["broken"] or row["median_ms"] > BUDGET_MS or row["largest_deck_bytes"] > BUDGET_BYTES]
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
