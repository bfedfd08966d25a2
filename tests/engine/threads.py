"""A second thread, as a second browser session has one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")


def in_another_thread(work: Callable[[], Answer]) -> Answer:
    """What the work answers (or raises) in a thread of its own, which has ended by then."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
