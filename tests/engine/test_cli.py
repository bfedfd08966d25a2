import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.city.city import open_city
from engine.city.splits import Split
from engine.runs import Run, RunRequest, jobs, list_runs
from engine.scenarios.edits import HideVisits, KeepLast
from engine.scenarios.replay import query_of
from engine.scenarios.scenario import Scenario
from tests.engine.runs import bigram
from tests.engine.runs.conftest import Workers, bigram_jobs, by_hand, city, request_for

__all__ = ["bigram_jobs", "by_hand", "city", "request_for"]


@pytest.fixture
def mobiscope(capsys: pytest.CaptureFixture[str]):
    """Runs the command line in this process: (exit code, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def trained(by_hand: Workers, request_for) -> str:
    """The id of a finished run."""
    from engine.runs import submit

    run_id = submit(request_for(epochs=6))
    assert by_hand(run_id) == 0
    return run_id


class TestExitCodes:
    def test_done_is_0(self, mobiscope) -> None:
        code, out, _ = mobiscope("runs")
        assert (code, out) == (0, "No runs yet. Start one with `mobiscope train`.\n")

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["describe", "nowhere"], "There is no city `nowhere`. Known: Small."),
            (["runs", "show", "../../etc"], "There is no run `../../etc`. Choose one from the list of runs."),
            (["train", "nobody", "--city", "Small"], "There is no model `nobody`"),
            (["train", "bigram", "--city", "Small", "--set", "epochs=-3"], "greater than or equal to 1"),
            (["train", "bigram", "--city", "Small", "--set", "colour=red"], "colour"),
            (
                ["train", "bigram", "--city", "Small", "--preset", "huge"],
                "There is no preset `huge`; choose one of tiny, demo, paper.",
            ),
            (["train", "bigram", "--city", "Small", "--split", "history_days=soon"], "history_days"),
            (["train", "bigram", "--city", "Small", "--device", "abacus"], "device"),
            (["export", "Small", "--to", "csv", "--folder", "/proc/nowhere"], "/proc/nowhere"),
            (["ingest", "/nowhere/visits.csv", "--name", "X"], "visits.csv"),
            (["train", "bigram", "--city", "Small", "--set", "epochs=" + "[" * 100_000], "valid integer"),
        ],
    )
    def test_refused_is_1_with_the_sentence_and_no_trace(self, mobiscope, city, words: list[str], sentence: str) -> None:
        code, out, err = mobiscope(*words)
        assert code == 1
        assert out == ""
        assert sentence in err
        assert "Traceback" not in err
        assert list_runs() == []
        code, out, _ = mobiscope(*words, "--json")
        assert code == 1
        assert sentence in json.loads(out)["error"]

    @pytest.mark.parametrize(
        "words",
        [
            ["train"],
            ["train", "bigram"],
            ["fly"],
            ["runs", "fly"],
            ["export", "Small", "--to", "stone tablets"],
            ["train", "bigram", "--city", "Small", "--set", "epochs"],
            ["synth", "--size", "enormous"],
            ["ingest", "--name", "X"],
            ["ingest", "x.csv", "--name", "X", "--map", "lat"],
        ],
    )
    def test_wrong_usage_is_2(self, mobiscope, city, words: list[str]) -> None:
        code, _, err = mobiscope(*words)
        assert code == 2
        assert "Usage" in err


class TestCities:
    def test_synth_describe_export(self, mobiscope, tmp_path: Path) -> None:
        code, out, _ = mobiscope("synth", "--size", "tiny", "--seed", 3, "--name", "Toy Town", "--json")
        made = json.loads(out)
        assert (code, made["slug"]) == (0, "toy-town")
        assert made["fingerprint"] == open_city("Toy Town").fingerprint
        code, out, _ = mobiscope("describe", "toy-town")
        assert code == 0
        assert "Toy Town (toy-town)" in out
        assert f"{made['rows']['visits']:,} rows" in out
        code, out, _ = mobiscope("export", "toy-town", "--to", "csv", "--folder", tmp_path / "out", "--json")
        assert code == 0
        assert sum(1 for _ in (tmp_path / "out" / "visits.csv").open()) == made["rows"]["visits"] + 1

    def test_ingest_with_a_mapping_and_what_is_wrong(self, mobiscope, tmp_path: Path) -> None:
        file = tmp_path / "walks.csv"
        file.write_text(
            "who,spot,north,east,what,when\n"
            + "".join(
                f"u{i % 3},p{i % 5},{52.5 + i % 5 / 100},{13.4 + i % 5 / 100},cafe,2024-05-{i + 1:02d}T10:00:00Z\n"
                for i in range(20)
            )
        )
        pairs = ["who=user_id", "spot=location_id", "north=latitude", "east=longitude", "what=category", "when=started_at"]
        maps = [word for pair in pairs for word in ("--map", pair)]
        code, out, _ = mobiscope("ingest", file, "--name", "Walks", *maps, "--check", "--json")
        assert code == 0, out
        assert json.loads(out)["files"][0]["mapping"]["user_id"] == "who"
        code, out, err = mobiscope("ingest", file, "--name", "Walks", *maps, "--json")
        assert code == 0, err
        assert json.loads(out)["rows"]["visits"] == 20
        assert open_city("walks").info.rows["locations"] == 5
        (tmp_path / "empty.csv").write_text("")
        code, out, err = mobiscope("ingest", tmp_path / "empty.csv", "--name", "Nothing", "--json")
        assert code == 1
        assert "empty.csv" in json.loads(out)["error"]
        assert json.loads(out)["problems"][0]["code"] == "EMPTY"

    def test_a_city_is_replaced_only_when_that_is_said_and_the_runs_it_costs_are_named(
        self, mobiscope, trained: str, tmp_path: Path
    ) -> None:
        """The runs of `Small` open only while its data stay; neither command writes over it unasked, and `--replace` does."""
        before = open_city("Small").fingerprint
        mobiscope("runs", "rename", trained, "My best")
        file = tmp_path / "walks.csv"
        file.write_text(
            "user_id,location_id,latitude,longitude,category,started_at\n"
            + "".join(f"u{i % 3},p{i % 5},52.5{i % 5},13.4{i % 5},cafe,2024-05-{i + 1:02d}T10:00:00Z\n" for i in range(20))
        )
        for words in (["ingest", file, "--name", "Small"], ["synth", "--size", "tiny", "--name", "small"]):
            code, _, err = mobiscope(*words)
            assert code == 1
            assert trained in err and "My best" in err and "--replace" in err
            assert open_city("Small").fingerprint == before
        code, _, err = mobiscope("ingest", file, "--name", "Small", "--replace")
        assert code == 0, err
        assert open_city("Small").fingerprint != before


class TestRuns:
    def test_train_prints_the_id_and_the_run_is_what_was_asked(self, mobiscope, by_hand: Workers, city) -> None:
        words = ["--set", "epochs=7", "--set", "dropout=0.5", "--split", "history_days=5", "--seed", 4, "--name", "My run"]
        code, out, _ = mobiscope("train", "bigram", "--city", "Small", "--preset", "tiny", *words)
        assert code == 0
        request = Run.open(out.strip()).request
        assert request.config == {"epochs": 7, "dropout": 0.5}
        assert (request.split.history_days, request.seed, request.name) == (5, 4, "My run")

    def test_a_published_split_is_proposed_where_the_city_has_one(self, mobiscope, by_hand: Workers, city) -> None:
        command = ["train", "bigram", "--city", "Small", "--preset", "tiny"]
        assert Run.open(mobiscope(*command)[1].strip()).request.split.kind == "chronological"
        visits = city.table("visits")
        parts = np.where(np.arange(len(visits)) % 5, "train", "test")
        city.replace(visits=visits.assign(split=parts)).save()
        assert Run.open(mobiscope(*command)[1].strip()).request.split.kind == "published"
        asked = mobiscope(*command, "--split", "kind=chronological")[1].strip()
        assert Run.open(asked).request.split.kind == "chronological"

    def test_wait_follows_to_the_end_and_tells_failure(self, mobiscope, city) -> None:
        """With a real process."""
        command = ["train", "bigram", "--city", "Small", "--preset", "tiny", "--wait"]
        code, out, err = mobiscope(*command, "--set", "diverge_at=3", "--json")
        assert code == 1
        status = json.loads(out)
        assert status["state"] == "FAILED"
        assert "loss became nan" in status["message"]
        assert "The run is FAILED. The loss became nan" in err

    def test_list_show_rename_delete(self, mobiscope, trained: str) -> None:
        _, out, _ = mobiscope("runs", "--json")
        assert [run["id"] for run in json.loads(out)] == [trained]
        assert trained in mobiscope("runs")[1]
        _, out, _ = mobiscope("runs", "show", trained, "--json")
        shown = json.loads(out)
        assert (shown["state"], shown["attempt"], shown["request"]["model"]) == ("DONE", 1, "bigram")
        assert "mobiscope train bigram --city Small --preset tiny --set epochs=6" in mobiscope("runs", "show", trained)[1]
        assert mobiscope("runs", "rename", trained, "Best")[1] == "Best\n"
        assert mobiscope("runs", "cancel", trained)[0] == 1
        assert mobiscope("runs", "resume", trained)[0] == 1
        assert mobiscope("runs", "delete", trained)[0] == 0
        assert list_runs() == []

    def test_cancel_and_resume(self, mobiscope, by_hand: Workers, city) -> None:
        run_id = mobiscope("train", "bigram", "--city", "Small", "--preset", "tiny")[1].strip()
        assert mobiscope("runs", "cancel", run_id)[:2] == (0, "CANCELLED\n")
        assert mobiscope("runs", "resume", run_id)[:2] == (0, "PENDING\n")
        code, _, err = mobiscope("runs", "resume", run_id)
        assert code == 1
        assert "somebody else was first" in err

    def test_evaluate_shows_the_stored_table_by_slice(self, mobiscope, trained: str) -> None:
        code, out, _ = mobiscope("evaluate", trained)
        assert code == 0
        assert "Bigram softmax" in out and "Last place" in out
        code, out, _ = mobiscope("evaluate", trained, "--slice", "weekday", "--json")
        rows = json.loads(out)
        assert {row["slice"] for row in rows} == {"weekday"}
        assert all(row["low"] is None or row["low"] <= row["value"] <= row["high"] for row in rows if row["value"] is not None)
        code, _, err = mobiscope("evaluate", trained, "--slice", "moon")
        assert code == 1
        assert "choose one of all, weekday" in err

    def test_predict_answers_as_the_stored_table_does(self, mobiscope, trained: str) -> None:
        stored = (
            Run.open(trained).table("predictions").query("predictor == 'bigram' and user_id == 'u1'").sort_values("step").iloc[2]
        )
        code, out, _ = mobiscope("predict", trained, "--user", "u1", "--step", 3, "--top", 3, "--json")
        assert code == 0
        answer = json.loads(out)
        assert [place["id"] for place in answer["places"]] == [f"l{position}" for position in stored["topk_ids"][:3]]
        assert answer["truth"]["rank"] == stored["true_rank"]
        assert answer["places"][0]["probability"] == pytest.approx(stored["topk_probs"][0], abs=1e-6)
        assert answer["step"] == 3
        said = mobiscope("predict", trained, "--user", "u1", "--step", 3)[1]
        assert "went there" in said and f"u1, sample 3 of {answer['samples']}," in said
        assert f"sample {answer['samples']} of {answer['samples']}," in mobiscope("predict", trained, "--user", "u1")[1]
        code, _, err = mobiscope("predict", trained, "--user", "nobody")
        assert code == 1
        assert "People with some are, for example, u0, u1" in err
        code, _, err = mobiscope("predict", trained, "--user", "u1", "--step", 9999)
        assert code == 1
        assert "--step goes from 1 to" in err

    def test_whatif_calls_a_score_a_score(self, mobiscope, trained: str, tmp_path: Path, monkeypatch) -> None:
        query = query_of(Run.open(trained).load().data.samples, 0)
        file = tmp_path / "scenario.json"
        file.write_text(Scenario(query=query, edits=(KeepLast(visits=1),)).to_json())
        command = ["whatif", file, "--run", trained]
        assert json.loads(mobiscope(*command, "--json")[1])["normalised"] is True
        assert "of the probability moved" in mobiscope(*command)[1]
        predict = bigram.Bigram.predict
        monkeypatch.setattr(bigram.Bigram, "predict", lambda *asked: replace(predict(*asked), normalised=False))
        assert json.loads(mobiscope(*command, "--json")[1])["normalised"] is False
        assert "of the score moved" in mobiscope(*command)[1]

    def test_whatif_measures_before_and_after_by_slice(self, mobiscope, trained: str, tmp_path: Path) -> None:
        """Nobody has nine thousand visits in a window, so hiding the last of them changes no sample; keeping one visit changes some."""
        file = tmp_path / "scenario.json"
        file.write_text(Scenario(name="Fewer", edits=(KeepLast(visits=1),)).to_json())
        command = ["whatif", file, "--run", trained, "--metrics", "--slice", "weekday"]
        code, out, err = mobiscope(*command, "--json")
        assert code == 0, err
        told = json.loads(out)
        rows = [row for row in told["metrics"] if row["metric"] == "acc@1"]
        assert {row["slice"] for row in rows} == {"all", "weekday"}
        assert sum(row["n"] for row in rows if row["slice"] == "weekday") == told["samples"] == rows[0]["n"]
        assert 0 < told["changed"] <= told["samples"]
        code, out, _ = mobiscope(*command, "--samples", 5)
        assert code == 0
        assert "5 test samples" in out and "weekday: " in out
        file.write_text(Scenario(name="Absent", edits=(HideVisits(steps=(9_000,)),)).to_json())
        assert json.loads(mobiscope("whatif", file, "--run", trained, "--metrics", "--json")[1])["changed"] == 0
        code, _, err = mobiscope("whatif", file, "--run", trained, "--metrics", "--slice", "moon")
        assert code == 1
        assert "choose one of popularity" in err
        assert mobiscope("whatif", file, "--run", trained, "--slice", "weekday")[0] == 2


class TestCommandFor:
    def test_it_is_what_the_form_would_do(self, mobiscope, by_hand: Workers, city) -> None:
        request = RunRequest(
            model="bigram",
            city="small",
            preset="paper",
            config={"epochs": 9, "dropout": 0.2, "diverge_at": None, "splits": False},
            split=Split(kind="chronological", hidden_locations=("l1", "l2 x"), history_days=3),
            seed=5,
            name="A name; with 'quotes'",
            device="cpu",
        )
        command = cli.command_for(request)
        assert "dropout" not in command, "it is the preset's own"
        assert "diverge_at" not in command
        words = shlex.split(command)
        assert words[0] == "mobiscope"
        code, out, _ = mobiscope(*words[1:])
        assert code == 0
        asked = Run.open(out.strip()).request
        assert asked == request.model_copy(update={"config": {"epochs": 9, "splits": False}})


def test_the_worker_command_is_the_one_jobs_use(mobiscope, by_hand: Workers, request_for) -> None:
    from engine.runs import submit

    run_id = submit(request_for())
    assert jobs.WORKER == ("-m", "tests.engine.runs.bigram", "work")
    bigram.shorten_evaluation()
    code, _, _ = mobiscope("work", run_id)
    assert code == 0
    code, _, err = mobiscope("work", run_id)
    assert code == 75
    assert "is DONE; resume or retry it first" in err
