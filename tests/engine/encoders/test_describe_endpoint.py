"""Descriptions from a real server process on loopback that fails on purpose: nothing is lost, nothing is paid for twice, no key leaks."""

import io
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from engine import store
from engine.encoders.describe import Evidence, describer
from engine.encoders.describe_endpoint import KEY_VARIABLE, EndpointDescriber, EndpointSettings
from engine.errors import EncoderError, settings_sentence

KEY = "sk-canary-0123456789"


class Server:
    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def plan(self, *behaviours: str, **more: float) -> None:
        body = json.dumps({"plan": list(behaviours)} | more).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/plan", data=body)).read()

    def seen(self) -> dict:
        return json.loads(urllib.request.urlopen(f"{self.address}/log").read())

    @property
    def log(self) -> list[dict]:
        return self.seen()["log"]


@pytest.fixture(scope="module")
def process():
    script = Path(__file__).with_name("chat_server.py")
    running = subprocess.Popen([sys.executable, "-I", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield Server(int(running.stdout.readline()))
    running.stdin.close()
    running.wait(10)


@pytest.fixture
def server(process):
    process.plan("ok")
    return process


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, 90, 60)).save(buffer, "JPEG")
    return buffer.getvalue()


def evidence(count: int) -> list[Evidence]:
    return [Evidence(f"c{number}", "satellite", {"brightness": number / 100}, (picture(number),)) for number in range(count)]


def asker(server: Server, waits: list[float] | None = None, **settings) -> EndpointDescriber:
    """A describer that writes its waits down instead of waiting."""
    kept = waits if waits is not None else []
    told = {"timeout_s": 5.0, "attempts": 8} | settings
    told = {"model": "seer"} | told
    return EndpointDescriber(EndpointSettings(base_url=f"{server.address}/v1", **told), sleep=kept.append)


def raw_answers() -> list[dict]:
    lines = [path.read_text().splitlines() for path in (store.cache_folder() / "descriptions").rglob("*.jsonl")]
    return [json.loads(line) for some in lines for line in some]


def test_every_kind_of_failure_is_survived_and_counted(server):
    """Each of four questions meets a slow-down, an error, a hang-up, prose, half an answer and a time-out before a good one."""
    server.plan("429", "500", "hang up", "prose", "half", "no choices", "hang", "ok", hang_s=2.5)
    waits: list[float] = []
    told = asker(server, waits, timeout_s=1.5, attempts=10).describe(evidence(4), with_trend=False)
    assert [one.text for one in told.descriptions] == ["Rows of houses with gardens; housing."] * 4
    assert [one.intensity for one in told.descriptions] == [41.0] * 4 and told.problems == []
    expected = {"429": 4, "server error": 4, "connection failed": 4, "unusable answer": 8, "malformed answer": 4, "timed out": 4}
    assert {name: told.counts[name] for name in expected} == expected
    assert told.counts["answered"] == 4 and told.counts["asked again"] == 28 == len(waits)
    assert len(raw_answers()) == 12, "prose, half and good answers are all kept"
    assert Counter(line["unusable"] for line in raw_answers())[""] == 4


def test_waits_grow_with_jitter_and_obey_the_server(server):
    """Waits double from 1 s, each between half of it and all of it; Retry-After (7 s) wins where it is longer."""
    server.plan("500", "500", "500", "500", "429", "ok")
    waits: list[float] = []
    asker(server, waits, concurrency=1).describe(evidence(1), with_trend=False)
    assert len(waits) == 5
    for number, wait in enumerate(waits[:4]):
        assert 0.5 * 2**number <= wait <= 2**number
    assert 8 <= waits[4] <= 16, "its own wait is longer than the server's"
    server.plan("429", "ok")
    asker(server, waits := [], concurrency=1).describe(evidence(2)[1:], with_trend=False)
    assert waits == [7.0]
    server.plan("429", "ok")
    asker(server, waits := [], concurrency=1, longest_wait_s=3).describe(evidence(3)[2:], with_trend=False)
    assert waits == [3.0], "no server may stop us for a day"


def test_what_was_answered_is_never_asked_again(server):
    first = asker(server, attempts=1)
    server.plan("ok")
    first.describe(evidence(3), with_trend=False)
    server.plan("500")
    told = first.describe(evidence(5), with_trend=False)
    assert [one is not None for one in told.descriptions] == [True, True, True, False, False]
    assert told.counts["from disk"] == 3 and told.counts["failed"] == 2 and len(told.problems) == 2
    assert "the server failed (500)" in told.problems[0] and "Cell c" in told.problems[0]
    server.plan("ok")
    assert all(first.describe(evidence(5), with_trend=False).descriptions)
    assert len(server.log) == 2


def test_a_line_cut_off_by_a_crash_is_asked_again(server):
    one = asker(server)
    one.describe(evidence(1), with_trend=False)
    (path,) = (store.cache_folder() / "descriptions").rglob("*.jsonl")
    path.write_text(path.read_text()[:40])
    server.plan("ok")
    assert all(one.describe(evidence(1), with_trend=False).descriptions) and len(server.log) == 1


def test_another_picture_measure_prompt_or_model_is_another_question(server):
    asker(server).describe(evidence(1), with_trend=False)
    changed = [
        Evidence("c0", "satellite", {"brightness": 0.0}, (picture(200),)),
        Evidence("c0", "satellite", {"brightness": 0.9}, (picture(0),)),
    ]
    server.plan("ok")
    asker(server).describe(changed, with_trend=False)
    asker(server).describe(evidence(1), with_trend=True)
    asker(server, prompt="lite").describe(evidence(1), with_trend=False)
    asker(server, temperature=0.5).describe(evidence(1), with_trend=False)
    assert len(server.log) == 5
    same = [Evidence("elsewhere", "satellite", {"brightness": 0.0}, (picture(0),))]
    asker(server).describe(same, with_trend=False)
    assert len(server.log) == 5, "two cells that look alike share one answer"


def test_an_answer_that_was_cut_off_is_not_used_even_if_it_parses(server):
    """The server says `length`; the next attempt may be twice as long and is asked a little differently."""
    server.plan("cut off", "ok")
    told = asker(server, max_tokens=100).describe(evidence(1), with_trend=False)
    assert told.descriptions[0] is not None and told.counts["unusable answer"] == 1
    assert [request["max_tokens"] for request in server.log] == [100, 200]
    assert [request["temperature"] for request in server.log] == [0.0, 0.2]
    server.plan("cut off")
    told = asker(server, attempts=2).describe(evidence(2)[1:], with_trend=False)
    assert told.descriptions == [None] and "cut off" in told.problems[0]


def test_json_in_a_fence_is_repaired_and_counted(server):
    server.plan("fenced")
    told = asker(server).describe(evidence(2), with_trend=True)
    assert all(told.descriptions) and told.counts["repaired"] == 2
    assert len(told.descriptions[0].trend) == 24 and told.descriptions[0].trend[23] == 1.0


def test_the_guess_of_the_curve_is_apart_from_the_text_and_only_there_if_asked(server):
    without = asker(server).describe(evidence(1), with_trend=False).descriptions[0]
    with_it = asker(server).describe(evidence(1), with_trend=True).descriptions[0]
    assert without.trend is None and len(with_it.trend) == 24
    assert without.text == with_it.text


def test_a_server_without_json_mode_is_asked_without_it(server):
    server.plan("no json mode")
    told = asker(server).describe(evidence(1), with_trend=False)
    assert all(told.descriptions) and [request["json_mode"] for request in server.log] == [True, False]


def test_a_server_that_drips_does_not_hold_us(server):
    server.plan("drip", "ok")
    told = asker(server, timeout_s=1.0).describe(evidence(1), with_trend=False)
    assert all(told.descriptions) and told.counts["timed out"] == 1


def test_requests_run_side_by_side_up_to_the_limit(server):
    server.plan("ok", hold_s=0.3)
    asker(server, concurrency=3).describe(evidence(9), with_trend=False)
    assert server.seen()["most_under_way"] == 3


def test_a_refused_key_stops_at_once_and_says_which_variable(server):
    server.plan("401")
    with pytest.raises(EncoderError, match=KEY_VARIABLE):
        asker(server, concurrency=2).describe(evidence(30), with_trend=False)
    assert len(server.log) <= 4, "not thirty refusals"
    server.plan("404")
    with pytest.raises(EncoderError, match="no model `seer`"):
        asker(server).describe(evidence(3), with_trend=False)


@pytest.mark.parametrize("behaviour", ["echo key", "echo key in answer", "500", "redirect"])
def test_the_key_reaches_the_server_and_nothing_else(server, behaviour, monkeypatch, own_home, caplog, capfd):
    """Not the cache, not a message, not a log, even where the server repeats it; and no server it redirects to."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    server.plan(behaviour)
    with caplog.at_level("DEBUG"):
        told = asker(server, attempts=2).describe(evidence(2), with_trend=False)
    assert {request["authorization"] for request in server.log} == {f"Bearer {KEY}"}
    assert {request["path"] for request in server.log} == {"/v1/chat/completions"}
    assert all(told.descriptions) == (behaviour == "echo key in answer")
    captured = capfd.readouterr()
    said = " ".join([*told.problems, caplog.text, captured.out, captured.err, repr(told)])
    files = [path for path in own_home.rglob("*") if path.is_file()]
    assert KEY not in said and not any(KEY.encode() in path.read_bytes() for path in files)
    assert bool(files) == (behaviour == "echo key in answer")


def test_the_estimate_is_what_is_then_sent(server):
    """Ten questions, of which three are on disk and two are the same: five to six requests, priced by tokens."""
    one = asker(server, price_in=2.0, price_out=8.0, concurrency=2)
    one.describe(evidence(3), with_trend=False)
    wanted = [*evidence(8), *evidence(8)[6:]]
    server.plan("ok")
    estimate = one.estimate(wanted, with_trend=False)
    assert server.log == [], "an estimate sends nothing"
    assert (estimate.descriptions, estimate.cached, estimate.alike, estimate.requests, estimate.pictures) == (10, 3, 2, 5, 5)
    assert estimate.cost == pytest.approx((estimate.tokens_in * 2 + estimate.tokens_out * 8) / 1e6)
    assert 0 < estimate.seconds < 5 * 4.0 / 2, "three answers were timed, and this server is quick"
    assert asker(server, model="other").estimate(wanted, with_trend=False).seconds == pytest.approx(8 * 4.0 / 4), "assumed 4 s"
    one.describe(wanted, with_trend=False)
    assert len(server.log) == 5
    assert sum(request["pictures"] for request in server.log) == 5


def test_an_address_with_a_key_in_it_is_refused():
    for address in ("ftp://host/v1", "http://user:secret@host/v1", "http://host/v1?key=secret", "nonsense"):
        with pytest.raises(ValueError) as refused:
            EndpointSettings(base_url=address, model="m")
        assert "base_url" in settings_sentence(refused.value)
    with pytest.raises(EncoderError, match="does not name a server and a model"):
        describer("endpoint:model-only")
    made = describer("endpoint:http://127.0.0.1:8000/v1:family/model")
    assert isinstance(made, EndpointDescriber) and made.settings.model == "family/model"
    assert made.settings.base_url == "http://127.0.0.1:8000/v1"


def test_a_full_disk_stops_with_a_sentence(server, monkeypatch):
    """An answer that cannot be kept must not be paid for again and again."""

    def full(self, *rest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EndpointDescriber, "_keep", full)
    with pytest.raises(EncoderError, match="No space left"):
        asker(server, concurrency=1).describe(evidence(5), with_trend=False)
    assert len(server.log) == 1
