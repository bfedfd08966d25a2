"""What every page is made of: title with its answer, "How to read this", and the empty, busy and broken states."""

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from dashboard import session, wording
from engine.errors import IngestError, MobiscopeError

_HEADED = "page.headed"
_LOG = logging.getLogger("mobiscope")


def head(question: str, answer: str = "") -> None:
    """The page's question, and one sentence that answers it now.

    Args:
        question: The title, in our own words.
        answer: Markdown in our own words; names inside have been through `wording.literal`.
    """
    session.put(_HEADED, True)
    st.title(question, anchor=False)
    if answer:
        st.markdown(answer)


def from_the_top() -> None:
    """Shows the page from its top; a browser stays scrolled to where the form was that led here."""
    st.html(
        "<script>document.querySelector('[data-testid=\"stMain\"]').scrollTo({top: 0})</script>",
        unsafe_allow_javascript=True,
    )


def panel(title: str, drawn: str, read: str, caution: str, source: str = "", actions: Callable[[], None] | None = None) -> None:
    """A panel's heading with its "How to read this": what is drawn, how to read it, what not to conclude, and the source.

    Args:
        title: Of the panel; names inside have been through `wording.literal`.
        drawn: What is drawn.
        read: How to read it.
        caution: What not to conclude.
        source: Of the method.
        actions: Draws what can be done with the panel, such as its export menu, beside "How to read this".
    """
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        st.subheader(title, anchor=False)
        if actions is None:
            reading(drawn, read, caution, source)
        else:
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                reading(drawn, read, caution, source)
                actions()


def reading(drawn: str, read: str, caution: str, source: str = "") -> None:
    """The "How to read this" of a panel whose heading stands elsewhere."""
    with st.popover("How to read this", type="tertiary"):
        for sentence in (drawn, read, caution):
            st.markdown(sentence)
        if source:
            st.caption(source)


def nothing(what: str, why: str) -> None:
    """An empty state: what is missing and why. The next step follows as a button of the page."""
    st.markdown(f"**{what}**")
    st.caption(why)


def no_step(is_sliced: bool) -> tuple[str, str]:
    """What to say where no step can be looked at: the slice holds none, or the city has none."""
    if is_sliced:
        return (
            "No case in this slice (n = 0)",
            "The slice chosen on the Long tail page holds no step. Choose all cases in the sidebar.",
        )
    return "There is no question to ask", "No person of this city has enough visits in a window to be predicted."


def refusal(error: MobiscopeError) -> None:
    """A refusal as its sentences; every problem of an upload is listed."""
    if isinstance(error, IngestError):
        for problem in error.problems:
            (st.error if problem.fatal else st.warning)(wording.sentence(str(problem)))
    else:
        st.error(wording.sentence(str(error)))


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Runs a part of the screen; a refusal becomes its sentence, an accident a sentence and a log reference, never a trace."""
    try:
        yield
    except MobiscopeError as error:
        refusal(error)
    except Exception:
        reference = uuid.uuid4().hex[:8]
        _LOG.exception("[%s] %s", reference, doing)
        st.error(
            f"Something broke while {doing}. This is a mistake in Mobiscope, not in your data; "
            f"the server's log has the details under the reference `{reference}`."
        )


@contextmanager
def guarded_page(title: str, way_out: Callable[[], None]) -> Iterator[None]:
    """Runs a page: what refuses or breaks before the page has a heading gets one, and a way out below its sentence."""
    session.put(_HEADED, False)
    refused = False
    with guarded(f"drawing the page {title}"):
        try:
            yield
        except Exception:
            refused = True
            if not session.get(_HEADED, False):
                st.title(title, anchor=False)
            raise
    if refused:
        way_out()


@contextmanager
def progress(what: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar for work done here and now; yields the `Report` the engine fills."""
    bar = st.progress(0.0, text=what)

    def report(doing: str, share: float) -> None:
        bar.progress(min(max(share, 0.0), 1.0), text=wording.literal(doing))

    try:
        yield report
    finally:
        bar.empty()
