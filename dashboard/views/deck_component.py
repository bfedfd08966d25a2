"""Maps of ours that do more than Streamlit's: a page of a few lines in assets/ and the deck.gl that comes inside the installed pydeck.

Both are laid side by side in the cache folder and served by this machine's Streamlit.
"""

import functools
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydeck as pdk
from streamlit.components.v1 import declare_component

from engine import store

_ASSETS = Path(__file__).resolve().parents[2] / "assets"
_LIBRARY = Path(pdk.__file__).parent / "nbextension" / "static" / "index.js"


def component(name: str) -> Callable[..., Any]:
    """The component whose page is `assets/<name>.html`."""
    return _component(name, str(store.home()))


@functools.lru_cache(maxsize=8)
def _component(name: str, home: str) -> Callable[..., Any]:
    page = _ASSETS / f"{name}.html"
    stamp = hashlib.sha256(page.read_bytes() + pdk.__version__.encode()).hexdigest()[:12]
    folder = Path(home) / "cache" / name / stamp
    if not (folder / "index.html").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_LIBRARY, folder / "deck.js")
        # Last, so that a folder with a page is a whole one.
        store.write_text(folder / "index.html", page.read_text(encoding="utf-8"))
    return declare_component(f"{name}_{stamp}", path=folder)
