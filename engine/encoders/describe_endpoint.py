"""Descriptions by a model behind an OpenAI-compatible server the analyst names: `POST <base URL>/chat/completions` with pictures.

The key is read from an environment variable when a request is sent, and is written nowhere. Every raw answer is kept on disk under
the hash of what was asked, so that an interrupted run goes on where it stopped and an answer is never paid for twice.
"""

import base64
import hashlib
import json
import os
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine import store
from engine.city.images import encode_jpeg, read_heights, read_image
from engine.encoders.describe import Describer, Description, Evidence, PromptName, Report, Told, load_prompt
from engine.encoders.describe_answer import read_answer
from engine.errors import EncoderError, IngestError

KEY_VARIABLE = "MOBISCOPE_ENDPOINT_KEY"
_MOST_PROBLEMS = 5
_MOST_BYTES = 4 << 20
_TOKENS_PER_CHARACTER = 0.27
_ANSWER_TOKENS = 160
_TREND_TOKENS = 130


class EndpointSettings(BaseModel):
    """How a server is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base_url: str = Field(description="Base URL of the API, e.g. http://127.0.0.1:8000/v1.")
    model: str = Field(min_length=1, description="Name of the model, as the server knows it.")
    prompt: PromptName = "three_level"
    key_variable: str = Field(KEY_VARIABLE, description="Environment variable that holds the key; no key is sent if it is empty.")
    concurrency: int = Field(4, ge=1, le=64, description="Requests under way at a time.")
    attempts: int = Field(5, ge=1, le=20, description="Most requests per description, counting those that fail.")
    timeout_s: float = Field(120.0, gt=0, description="Longest wait for one answer, seconds.")
    first_wait_s: float = Field(1.0, ge=0, description="Wait before the second attempt; it doubles each time, with jitter.")
    longest_wait_s: float = Field(60.0, ge=0, description="No wait between attempts is longer, whatever the server asks for.")
    max_tokens: int = Field(900, ge=16, description="Longest answer, tokens.")
    temperature: float = Field(0.0, ge=0, le=2)
    json_mode: bool = Field(True, description="Ask for `response_format: json_object`; dropped for servers that refuse it.")
    longest_side: int = Field(512, ge=32, le=2048, description="Pictures are shrunk to this, pixels.")
    most_pictures: int = Field(4, ge=1, le=20, description="Most street views of one cell in one request.")
    price_in: float | None = Field(None, ge=0, description="Price of a million tokens asked, for the estimate.")
    price_out: float | None = Field(None, ge=0, description="Price of a million tokens answered.")
    seconds_per_answer: float = Field(4.0, gt=0, description="Assumed for the estimate until answers were timed.")

    @field_validator("base_url")
    @classmethod
    def _is_a_server(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https address such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user, key or query; the key belongs into an environment variable")
        return value.rstrip("/")


@dataclass(frozen=True)
class Estimate:
    """What describing would take.

    Attributes:
        descriptions: Pieces of evidence.
        cached: Answered before, by what lies on disk.
        alike: Share their question with another one, so that one answer serves both.
        requests: Requests to send if none fails.
        pictures: Pictures to send.
        tokens_in, tokens_out: Guessed from the length of prompts and size of pictures.
        cost: In the currency of the prices; None without prices.
        seconds: At the mean time of the answers that lie on disk (before there are any, the assumed one) and the concurrency.
    """

    descriptions: int
    cached: int
    alike: int
    requests: int
    pictures: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds: float

    def sentence(self) -> str:
        """The estimate in words."""
        cost = "no prices were given" if self.cost is None else f"about {self.cost:,.2f} at the prices given"
        return (
            f"{self.descriptions:,} descriptions, {self.cached:,} of them answered before and {self.alike:,} alike others: "
            f"{self.requests:,} requests with "
            f"{self.pictures:,} pictures, about {self.tokens_in:,} tokens asked and {self.tokens_out:,} answered; {cost}; "
            f"about {_duration(self.seconds)}."
        )


class _Unusable(Exception):
    """An attempt failed; `wait_s` is what the server asks for, `final` that trying again is of no use."""

    def __init__(self, kind: str, message: str, wait_s: float | None = None, final: bool = False, cut_off: bool = False) -> None:
        self.kind, self.wait_s, self.final, self.cut_off = kind, wait_s, final, cut_off
        super().__init__(message)


class EndpointDescriber(Describer):
    """Asks an OpenAI-compatible server, several requests at a time; resumable.

    Args:
        settings: Server, model and manners.
        transport: For tests; default a real connection.
        sleep: Waits; for tests.
        seed: Of the jitter between attempts.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.name = f"endpoint:{urlsplit(settings.base_url).hostname}:{settings.model}"
        self.prompt, self._prompt = settings.prompt, load_prompt(settings.prompt)
        self._transport, self._sleep, self._seed = transport, sleep, seed

    @property
    def fingerprint(self) -> str:  # noqa: D102
        told = self.settings
        return (
            f"endpoint/{told.base_url}/{told.model}/{self._prompt.sha256}/{told.temperature}/{told.max_tokens}/{told.longest_side}"
        )

    # ---- what would it take ---------------------------------------------------------------------------------------------------

    def estimate(self, evidence: Sequence[Evidence], with_trend: bool) -> Estimate:
        """Requests, tokens, cost and time before anything is sent."""
        keys = {self._key(one, with_trend): one for one in evidence}
        fresh = [one for key, one in keys.items() if not self._usable(key, with_trend)]
        pictures = sum(len(self._pictures(one)) for one in fresh)
        letters = sum(len(self._prompt.system) + len(self._prompt.question(one, with_trend)) for one in fresh)
        # 32 x 32 pixels are about one token with most vision models (OpenAI and Qwen count 28 to 32).
        tokens_in = round(letters * _TOKENS_PER_CHARACTER + pictures * (self.settings.longest_side / 32) ** 2)
        tokens_out = len(fresh) * (_ANSWER_TOKENS + _TREND_TOKENS * with_trend)
        cost = None
        if self.settings.price_in is not None and self.settings.price_out is not None:
            cost = (tokens_in * self.settings.price_in + tokens_out * self.settings.price_out) / 1e6
        timed = [line["seconds"] for key in keys for line in self._lines(key) if isinstance(line.get("seconds"), (int, float))]
        one = sum(timed) / len(timed) if timed else self.settings.seconds_per_answer
        seconds = len(fresh) * one / self.settings.concurrency
        cached, alike = len(keys) - len(fresh), len(evidence) - len(keys)
        return Estimate(len(evidence), cached, alike, len(fresh), pictures, tokens_in, tokens_out, cost, seconds)

    # ---- asking ----------------------------------------------------------------------------------------------------------------

    def describe(self, evidence: Sequence[Evidence], with_trend: bool, report: Report | None = None) -> Told:  # noqa: D102
        say = report or (lambda what, share: None)
        counts: Counter[str] = Counter()
        problems: list[str] = []
        answers: dict[str, Description | None] = {}
        keys = [self._key(one, with_trend) for one in evidence]
        waiting: queue.SimpleQueue[tuple[str, Evidence]] = queue.SimpleQueue()
        for key, one in dict(zip(keys, evidence, strict=True)).items():
            answers[key] = self._usable(key, with_trend)
            if answers[key] is None:
                waiting.put((key, one))
            else:
                counts["from disk"] += 1
        total, done = waiting.qsize(), 0
        lock, stop = threading.Lock(), threading.Event()
        refusals: list[str] = []
        broken: list[BaseException] = []

        def work(client: httpx2.Client, jitter: random.Random) -> None:
            nonlocal done
            while not stop.is_set():
                try:
                    key, one = waiting.get_nowait()
                except queue.Empty:
                    return
                found: Description | None = None
                try:
                    found = self._ask(client, key, one, with_trend, counts, lock, jitter, stop)
                except _Unusable as failure:
                    with lock:
                        counts["failed"] += 1
                        if len(problems) < _MOST_PROBLEMS:
                            problems.append(f"Cell {one.cell_id}, {one.modality}: {failure}.")
                        if failure.kind == "refused":
                            refusals.append(str(failure))
                            stop.set()
                except BaseException as error:
                    # A thread that dies silently would look like an answer that never came.
                    broken.append(error)
                    stop.set()
                    return
                with lock:
                    answers[key] = found
                    done += 1
                    say(f"{done:,} of {total:,} descriptions by {self.settings.model}", done / total)

        if total:
            limits = httpx2.Limits(max_connections=self.settings.concurrency)
            timeout = httpx2.Timeout(self.settings.timeout_s, connect=min(15.0, self.settings.timeout_s))
            # Redirects would send pictures, and the key, to a server nobody named.
            with httpx2.Client(
                timeout=timeout, limits=limits, transport=self._transport, follow_redirects=False, trust_env=False
            ) as client:
                threads = [
                    threading.Thread(target=work, args=(client, random.Random(f"{self._seed}/{number}")), daemon=True)
                    for number in range(min(self.settings.concurrency, total))
                ]
                for thread in threads:
                    thread.start()
                try:
                    for thread in threads:
                        thread.join()
                except BaseException:
                    # What was answered so far is on disk; those under way end by themselves.
                    stop.set()
                    raise
        if broken:
            if isinstance(broken[0], OSError):
                raise EncoderError(
                    f"An answer could not be kept ({broken[0].strerror}). Free some space and run again; what was kept is not asked again."
                )
            raise broken[0]
        if refusals:
            raise EncoderError(
                f"The server at {self.settings.base_url} refuses every request: {refusals[0]}. "
                f"{counts['answered']:,} answers were kept and need not be asked again."
            )
        return Told([answers[key] for key in keys], dict(counts), problems)

    def _ask(
        self,
        client: httpx2.Client,
        key: str,
        one: Evidence,
        with_trend: bool,
        counts: Counter[str],
        lock: threading.Lock,
        jitter: random.Random,
        stop: threading.Event,
    ) -> Description:
        body = self._body(one, with_trend)
        for attempt in range(self.settings.attempts):
            try:
                raw, seconds = self._post(client, body)
                choice = raw["choices"][0]
                reading = read_answer(_content(choice), with_trend, choice.get("finish_reason") == "length")
                self._keep(key, one, raw, seconds, reading.reason)
                if reading.description is None:
                    raise _Unusable("unusable answer", reading.reason, cut_off=choice.get("finish_reason") == "length")
                with lock:
                    counts["answered"] += 1
                    counts["repaired"] += reading.repaired
                return reading.description
            except _Unusable as failure:
                with lock:
                    counts[failure.kind] += 1
                if failure.kind == "json mode refused":
                    body.pop("response_format", None)
                    continue
                if failure.final or attempt + 1 == self.settings.attempts or stop.is_set():
                    raise
                if failure.kind == "unusable answer":
                    # Asked in exactly the same way, a model would say exactly the same.
                    body["temperature"] = max(self.settings.temperature, 0.2 * (attempt + 1))
                    if failure.cut_off:
                        body["max_tokens"] = min(2 * int(body["max_tokens"]), 8_192)
                # Full jitter above the half: many workers must not come back in step.
                wait = min(self.settings.first_wait_s * 2**attempt, self.settings.longest_wait_s)
                wait = wait * (0.5 + 0.5 * jitter.random())
                if failure.wait_s is not None:
                    wait = min(max(wait, failure.wait_s), self.settings.longest_wait_s)
                with lock:
                    counts["asked again"] += 1
                self._sleep(wait)
        raise _Unusable("failed", f"no usable answer in {self.settings.attempts} attempts", final=True)

    def _post(self, client: httpx2.Client, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.settings.key_variable, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        begun = time.monotonic()
        received = bytearray()
        try:
            address = f"{self.settings.base_url}/chat/completions"
            with client.stream("POST", address, content=json.dumps(body), headers=headers) as response:
                for chunk in response.iter_bytes():
                    received += chunk
                    if len(received) > _MOST_BYTES:
                        raise _Unusable("malformed answer", f"the answer has more than {_MOST_BYTES >> 20} MB", final=True)
                    # The client's own limit is between two bytes; a server that drips would never meet it.
                    if time.monotonic() - begun > self.settings.timeout_s:
                        raise _Unusable("timed out", f"no answer within {self.settings.timeout_s:g} s")
        except httpx2.TimeoutException:
            raise _Unusable("timed out", f"no answer within {self.settings.timeout_s:g} s") from None
        except httpx2.HTTPError as error:
            raise _Unusable("connection failed", f"the server cannot be reached ({type(error).__name__})") from None
        status, text = response.status_code, received.decode("utf-8", errors="replace")
        if key:
            text = text.replace(key, "…")  # a server that repeats what it was sent must not put the key on disk
        if status == 429:
            raise _Unusable("429", "the server asks to slow down (429)", _retry_after(response.headers.get("Retry-After")))
        if status >= 500 or status in (408, 409, 425):
            raise _Unusable("server error", f"the server failed ({status})", _retry_after(response.headers.get("Retry-After")))
        if status == 400 and "response_format" in body and "response_format" in text[:2_000]:
            raise _Unusable("json mode refused", "the server knows no JSON mode")
        if status in (401, 403):
            raise _Unusable(
                "refused",
                f"it does not accept the key in {self.settings.key_variable} ({status}); set it and run again",
                final=True,
            )
        if status == 404:
            raise _Unusable("refused", f"it has no model `{self.settings.model}` or no chat at this address (404)", final=True)
        if status != 200:
            raise _Unusable("rejected", f"the server rejects the request ({status}: {text[:200].strip()})", final=True)
        try:
            raw = store.parse_json(text)
            choices = raw["choices"]
            if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
                raise KeyError("choices")
        except (ValueError, KeyError, TypeError):
            raise _Unusable("malformed answer", "the server's answer is no chat completion") from None
        return raw, time.monotonic() - begun

    def _body(self, one: Evidence, with_trend: bool) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": self._prompt.question(one, with_trend)}]
        for picture in self._pictures(one):
            shown = base64.b64encode(self._shown(picture, one.modality)).decode()
            content.append({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{shown}"}})
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [{"role": "system", "content": self._prompt.system}, {"role": "user", "content": content}],
            "temperature": self.settings.temperature,
            "max_tokens": self.settings.max_tokens,
        }
        if self.settings.json_mode:
            body["response_format"] = {"type": "json_object"}
        return body

    def _pictures(self, one: Evidence) -> tuple[bytes, ...]:
        return one.images[: self.settings.most_pictures]

    def _shown(self, data: bytes, modality: str) -> bytes:
        try:
            if modality == "height":
                grey, _ = read_heights(data)
                return encode_jpeg(Image.fromarray(grey.astype("uint8")))
            return encode_jpeg(read_image(data, modality, self.settings.longest_side))
        except IngestError:
            raise _Unusable("picture unreadable", "a picture cannot be read", final=True) from None

    # ---- the disk --------------------------------------------------------------------------------------------------------------

    def _key(self, one: Evidence, with_trend: bool) -> str:
        """Hash of all that decides the answer: server, model, prompt, measurements and pictures."""
        digest = hashlib.sha256(f"{self.fingerprint}\n{with_trend}\n{self._prompt.system}\n".encode())
        digest.update(self._prompt.question(one, with_trend).encode())
        for picture in self._pictures(one):
            digest.update(hashlib.sha256(picture).digest())
        return digest.hexdigest()

    def _path(self, key: str) -> Path:
        return store.cache_folder() / "descriptions" / key[:2] / f"{key}.jsonl"

    def _keep(self, key: str, one: Evidence, raw: dict[str, Any], seconds: float, reason: str) -> None:
        """Appends the raw answer, usable or not; each line is one answer."""
        line = {
            "cell_id": one.cell_id,
            "modality": one.modality,
            "model": self.settings.model,
            "prompt": self._prompt.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "unusable": reason,
            "answer": raw,
        }
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _lines(self, key: str) -> list[dict[str, Any]]:
        """What is kept of one question, in the order it came."""
        try:
            lines = self._path(key).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        kept = []
        for line in lines:
            try:
                entry = store.parse_json(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                kept.append(entry)
        return kept

    def _usable(self, key: str, with_trend: bool) -> Description | None:
        """The last usable answer on disk; a line cut off by a crash counts for nothing."""
        for line in reversed(self._lines(key)):
            try:
                choice = line["answer"]["choices"][0]
                reading = read_answer(_content(choice), with_trend, choice.get("finish_reason") == "length")
            except (ValueError, KeyError, IndexError, TypeError, AttributeError, _Unusable):
                continue
            if reading.description is not None:
                return reading.description
        return None


def _content(choice: dict[str, Any]) -> str:
    """The text of a choice, whether it is plain or a list of parts."""
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise _Unusable("malformed answer", "the server's answer is no chat completion")
    return content


def _retry_after(header: str | None) -> float | None:
    """Seconds the server asks to wait, as a number or an HTTP date (RFC 9110 §10.2.3)."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min" if seconds < 7_200 else f"{seconds / 3600:,.1f} h"
