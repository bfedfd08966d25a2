"""The dashboard's entry: `streamlit run dashboard/app.py`. Navigation, and the sidebar with what is chosen for all pages."""

import sys
from pathlib import Path

# A bare clone has the repository nowhere on the path: Streamlit puts only this file's folder there.
ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from dashboard import navigation, panels, saved_views, session, wording  # noqa: E402
from dashboard.views import sidebar  # noqa: E402

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def refused_binding(address: str | None, has_login: bool) -> str | None:
    """Why the server must not be used as it was started; None if it may.

    Args:
        address: `server.address`; None means every interface of the machine.
        has_login: Whether `[auth]` is configured in secrets.toml.
    """
    if address in LOOPBACK or has_login:
        return None
    return (
        f"Mobiscope refuses to serve on {address or 'every network interface'} without a login, because it shows people's traces. "
        "Start it with `--server.address 127.0.0.1`, or configure `[auth]` in `.streamlit/secrets.toml`."
    )


def has_login() -> bool:
    """Whether a login is configured."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def main() -> None:
    """Draws the frame and the page."""
    st.set_page_config(page_title="Mobiscope", layout="wide")
    refusal = refused_binding(st.get_option("server.address"), has_login())
    if refusal:
        print(refusal, file=sys.stderr, flush=True)
        st.error(wording.sentence(refusal))
        st.stop()
    if has_login() and not st.user.is_logged_in:
        st.title("Mobiscope", anchor=False)
        st.button("Log in", on_click=st.login, type="primary")
        st.stop()
    st.html(ROOT / "dashboard" / "frame.css")
    st.logo(str(ROOT / "assets" / f"wordmark-{session.theme()}.svg"), size="large")
    lost = saved_views.restore_view()
    complaints = [*([lost] if lost else []), *session.restore()]
    page = st.navigation(navigation.pages())
    session.put("page", page.url_path or "home")
    with st.sidebar:
        navigation.listen()
        with panels.guarded("drawing the sidebar"):
            sidebar.draw()
    for complaint in complaints:
        st.warning(wording.sentence(complaint))
    with panels.guarded_page(page.title, lambda: navigation.door("runs", "Choose another run", key="app.other_run")):
        page.run()


if __name__ == "__main__":
    main()
