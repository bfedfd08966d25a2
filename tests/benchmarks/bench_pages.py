"""How long a page's script takes when everything it needs is warm, and how big the decks it sends are.

    python -m tests.benchmarks.bench_pages [--pages NAME...] [--json]
    MOBISCOPE_HOME=... python -m tests.benchmarks.bench_pages --city SLUG [--run ID]

Without a city a home is made for the measurement: the built-in city and a `tiny` run of every model on it; pages that show more than one
kind of run are measured with each.

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


PAGES_OF = {
    "calliper": ("home", "city", "train", "runs", "next_location", "attention", "embeddings", "what_if", "long_tail"),
    "lmemr": ("train", "grid_mobility", "attention", "embeddings", "what_if", "long_tail"),
    "nextlocmoe": ("next_location", "experts", "attention", "what_if"),
}


def make_home() -> tuple[str, dict[str, str]]:
    """Puts the built-in city and finished runs into a home of its own; returns the slug and each model's run."""
    os.environ["MOBISCOPE_HOME"] = tempfile.mkdtemp(prefix="mobiscope-bench-")
    from engine.city.synthetic import synthesise
    from engine.runs import Run, RunRequest, submit

    city = synthesise("demo").save()
    assert city.folder is not None
    runs = {}
    for model in PAGES_OF:
        runs[model] = submit(RunRequest(model=model, city=city.folder.name, preset="tiny"))
        while not Run.open(runs[model]).status().has_ended:
            time.sleep(1)
        assert Run.open(runs[model]).status().state == "DONE", Run.open(runs[model]).log_tail(20)
    return city.folder.name, runs


def main() -> int:
    """Measures every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--city", default="")
    parser.add_argument("--run", default="")
    parser.add_argument("--pages", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if arguments.city:
        from dashboard.navigation import GROUPS
        from engine.city.city import open_city

        open_city(arguments.city)  # a page without a city is quick and proves nothing
        asked = [
            (
                {"city": arguments.city} | ({"run": arguments.run} if arguments.run else {}),
                "",
                [page for group in GROUPS.values() for page in group],
            )
        ]
    else:
        slug, runs = make_home()
        asked = [({"city": slug, "run": runs[model]}, model, pages) for model, pages in PAGES_OF.items()]
    import streamlit

    rows = [
        measure(page, query, arguments.repeats) | {"model": model}
        for query, model, pages in asked
        for page in pages
        if not arguments.pages or page in arguments.pages
    ]
    if arguments.json:
        print(json.dumps(rows))
    else:
        print(
            f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, Streamlit {streamlit.__version__}"
        )
        for row in rows:
            print(
                f"{row['page']:15} {row['model']:11} median {row['median_ms']:7.1f} ms  worst {row['worst_ms']:7.1f} ms  "
                f"deck {row['largest_deck_bytes'] / 1e6:5.2f} MB  {row['broken'] and 'BROKEN: ' + str(row['broken'])}"
            )
    over = [row for row in rows if row["broken"] or row["median_ms"] > BUDGET_MS or row["largest_deck_bytes"] > BUDGET_BYTES]
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
