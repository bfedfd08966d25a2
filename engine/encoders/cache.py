"""A content-addressed cache of encoder outputs: the same content under the same encoder is computed once per machine."""

import hashlib
from collections.abc import Callable, Iterable

import numpy as np

from engine import store


def content_key(encoder: str, contents: Iterable[str | bytes]) -> str:
    """The address of an encoder's answer for these contents, in this order.

    Args:
        encoder: Fingerprint of the encoder: its name, weights and settings.
        contents: What is encoded.
    """
    digest = hashlib.sha256(encoder.encode())
    for content in contents:
        data = content.encode() if isinstance(content, str) else content
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def cached_array(encoder: str, contents: list[str], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The encoder's answer from disk, or computed and written there.

    A damaged entry is computed again; a folder that cannot be written to only costs the cache.

    Args:
        encoder: Fingerprint of the encoder.
        contents: What is encoded, one row of the answer each.
        compute: Gives the answer, (content, dimension) float32.
    """
    path = store.cache_folder() / "encoders" / f"{content_key(encoder, contents)}.npy"
    try:
        found = np.load(path, allow_pickle=False)
        if len(found) == len(contents):
            return found
    except (OSError, ValueError, EOFError):
        pass
    answer = compute()
    try:
        with store.replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, answer, allow_pickle=False)
    except OSError:
        # A full or read-only disk must not stop an analysis that only wanted to be faster next time.
        pass
    return answer
