"""What holds while a block of code runs, for the thread that opened the block and for nobody else.

Models are shared between threads (browser sessions ask one loaded model), so whatever belongs to one question stands in a
`contextvars.ContextVar` and not on the model. Nothing waits for anything, and a block that is left early, or never, disturbs no
other thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Value = TypeVar("Value")


@contextmanager
def held(variable: ContextVar[Value], value: Value) -> Iterator[Value]:
    """Within the block the variable has this value, for this thread."""
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)
