"""The house stands as drawn: imports point down, the engine never sees the screen, and the screen opens without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCREEN = {"streamlit", "dashboard", "pages"}

# Inside the engine a package may import those to its right, and itself.
FLOORS = [
    {"cli", "__main__"},
    {"runs"},
    {"training", "evaluation", "scenarios"},
    {"models"},
    {"layers", "encoders", "projection", "field"},
    {"probes"},
    {"city"},
    {"errors", "device", "store", "faults", "blocks"},
]


def imported_modules(path: Path) -> set[str]:
    """Dotted names a file imports, at the top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor_of(part: str) -> int | None:
    return next((index for index, floor in enumerate(FLOORS) if part in floor), None)


def files_in(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", files_in("engine"), ids=name_of)
def test_engine_never_imports_the_screen(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported_modules(path)} & SCREEN


@pytest.mark.parametrize("path", [path for path in files_in("engine") if path.parent != ROOT / "engine"], ids=name_of)
def test_imports_inside_the_engine_point_down(path: Path) -> None:
    own = floor_of(path.relative_to(ROOT / "engine").parts[0])
    assert own is not None, f"{name_of(path)} stands on no floor of architecture.md; add it to FLOORS"
    for module in imported_modules(path):
        if module.startswith("engine."):
            part = module.split(".")[1]
            floor = floor_of(part)
            assert floor is None or floor >= own, f"{name_of(path)} imports {module}, which stands above it"


@pytest.mark.parametrize("path", files_in("dashboard/figures"), ids=name_of)
def test_figures_are_pure(path: Path) -> None:
    above = ("streamlit", "pages", "dashboard.views", "dashboard.session", "dashboard.cached", "dashboard.forms")
    assert not [name for name in imported_modules(path) if name.startswith(above)]


@pytest.mark.parametrize("path", files_in("dashboard"), ids=name_of)
def test_the_frame_never_imports_a_page(path: Path) -> None:
    assert not [name for name in imported_modules(path) if name.split(".")[0] == "pages"]


def test_only_session_touches_the_session_state() -> None:
    guilty = [
        name_of(path)
        for path in files_in("dashboard") + files_in("pages")
        if path != ROOT / "dashboard" / "session.py"
        and any(word in path.read_text() for word in ("st.session_state", "st.query_params"))
    ]
    assert not guilty


def test_only_cached_wraps_the_engine_in_caches() -> None:
    guilty = [
        name_of(path)
        for path in files_in("dashboard") + files_in("pages")
        if path.parent != ROOT / "dashboard" / "cached"
        and any(word in path.read_text() for word in ("st.cache_data", "st.cache_resource"))
    ]
    assert not guilty


def test_pages_never_branch_on_a_models_name() -> None:
    names = ("calliper", "m3ob", "lmemr", "qtmob", "nextlocmoe")
    for path in files_in("pages") + files_in("dashboard"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                words = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}
                assert not words & set(names), f"{name_of(path)} line {node.lineno} branches on a model's name"


def test_opening_the_screen_imports_nothing_heavy() -> None:
    program = "import sys; import dashboard.app; print([m for m in ('torch', 'transformers', 'umap', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_no_file_uses_unsafe_loading() -> None:
    for path in files_in("engine") + files_in("dashboard") + files_in("pages"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert keywords.get("trust_remote_code", "False") == "False", f"{name_of(path)}:{node.lineno}"
                if called == "torch.load":
                    assert keywords.get("weights_only") == "True", f"{name_of(path)}:{node.lineno} loads without weights_only"
                assert called not in ("eval", "exec", "pickle.load", "pickle.loads", "np.load_pickle"), (
                    f"{name_of(path)}:{node.lineno}"
                )
