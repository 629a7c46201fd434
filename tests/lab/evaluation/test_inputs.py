from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from modelsat.candidates import known_facts
from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.lab.evaluation import ScoresRouter, inputs
from modelsat.lab.evaluation.costs import costs
from modelsat.lab.evaluation.inputs import Price, completion_tokens, listed_prices, load_embeddings, read_prices
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.names import find_profiles
from modelsat.request.tokens import TURN_TOKENS, estimate_tokens
from tests.fakes import make_profile

HEAD = "model,input_usd_per_mtok,output_usd_per_mtok"


def csv(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


# -- prices --------------------------------------------------------------------------------------------------------


def test_prices_are_read(tmp_path: Path) -> None:
    found = read_prices(csv(tmp_path / "p.csv", f"{HEAD},completion_tokens\na,1,2,50\nb,3,4.5,\n"))
    assert found == {"a": Price(1, 2, 50), "b": Price(3, 4.5, None)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,input_usd_per_mtok\na,1\n", "lacks the column output_usd_per_mtok"),
        (f"{HEAD}\na,1,2\na,1,2\n", "row 2: 'a' appears twice"),
        (f"{HEAD}\na,1,cheap\n", "row 1, column output_usd_per_mtok: cheap is not a number"),
        (f"{HEAD}\na,-1,2\n", "row 1, column input_usd_per_mtok: -1 is not a number of 0 or more"),
        (f"{HEAD}\na,,2\n", "row 1, column input_usd_per_mtok: an empty cell is not a number"),
    ],
)
def test_faulty_prices_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_prices(csv(tmp_path / "p.csv", text))


def test_prices_not_given_are_those_that_a_router_uses() -> None:
    found = listed_prices(["gpt-4o", "Meta-Llama-3.1-8B-Instruct", "ollama/llama3.1", "nobody"])
    assert set(found) == {"gpt-4o", "Meta-Llama-3.1-8B-Instruct"}
    for model, price in found.items():
        facts = known_facts(model)
        assert (price.input, price.output) == (facts.input_usd_per_mtok, facts.output_usd_per_mtok)
        assert price.completion_tokens is None


def test_costs_prefer_prices_then_logs(table: OutcomeTable) -> None:
    logged = table.costs.copy()
    logged[:4, 1] = (0.01, 0.03, np.nan, 0.05)
    rows, train = np.array([2, 3]), np.array([0, 1])
    prices = {"algebra": Price(1.0, 2.0, 100), "history": Price(0.0, 4.0)}
    found = costs(replace(table, costs=logged), rows, np.arange(4), train, prices, {"history": 50.0})
    length = estimate_tokens(str(table.prompts[2])) + TURN_TOKENS
    np.testing.assert_allclose(found.expected[0, :3], [(length + 200) / 1e6, 0.02, 200 / 1e6], rtol=1e-6)
    np.testing.assert_allclose(found.actual[:, 1], [0.02, 0.05], rtol=1e-6)
    assert np.isnan(found.expected[:, 3]).all()
    assert found.notes == ("no price for newcomer: left out of the cost figures (give --prices)",)


def test_completion_tokens_are_counted_where_logged(tmp_path: Path) -> None:
    some = csv(tmp_path / "o.csv", "item_id,model,score,completion_tokens\na,m,1,10\nb,m,1,30\na,n,0,\n")
    assert completion_tokens(some) == {"m": 20.0}
    assert completion_tokens(csv(tmp_path / "none.csv", "item_id,model,score\na,m,1\n")) == {}


# -- scores, profiles, core items ----------------------------------------------------------------------------------


def test_scores_are_read_from_every_format(tmp_path: Path, table: OutcomeTable) -> None:
    frame = pd.DataFrame({"item_id": ["exam/0", "exam/1"], "model": ["coin", "coin"], "p": [0.25, 0.5]})
    frame.to_parquet(tmp_path / "s.parquet")
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_json(tmp_path / "s.jsonl", orient="records", lines=True)
    for kind in ("parquet", "csv", "jsonl"):
        router = ScoresRouter.read("x", tmp_path / f"s.{kind}")
        part = table.take(np.array([1, 0]), np.array([1]))
        router.check(part)
        np.testing.assert_allclose(router.predict(part), [[0.5], [0.25]])
        assert router.predict(table.take(np.array([5]))) is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,m,1.5\n", "column p: must lie in 0..1 in 1 of 1 rows: row 1 "),
        ("a,m,0.5\nb,m,\n", "column p: must lie in 0..1 in 1 of 2 rows: row 2 "),
        ("a,m,0.5\na,m,0.5\n", r"column item_id \+ model: appears twice in 1 of 2 rows: row 2 "),
    ],
)
def test_faulty_scores_are_named(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(OutcomesError, match=message):
        ScoresRouter.read("x", csv(tmp_path / "s.csv", f"item_id,model,p\n{rows}"))


def test_given_profiles_come_before_the_registrys() -> None:
    found = find_profiles(["gpt-4o", "mine", "nobody-at-all"], [make_profile("mine", 0.3)])
    assert set(found) == {"gpt-4o", "mine"}
    assert found["mine"].statements[0].accuracy == 0.3


def test_core_items_of_a_file_must_be_there(table: OutcomeTable, tmp_path: Path) -> None:
    assert inputs.core_items(table) == []
    assert inputs.core_items(table, csv(tmp_path / "c.txt", "exam/3\n\nexam/1\n")) == ["exam/3", "exam/1"]
    with pytest.raises(ConfigurationError, match="exam/x is not in the items table"):
        inputs.core_items(table, csv(tmp_path / "c.txt", "exam/x\n"))
    with pytest.raises(ConfigurationError, match="it is empty"):
        inputs.core_items(table, csv(tmp_path / "c.txt", "\n"))


# -- embeddings ----------------------------------------------------------------------------------------------------


def test_stored_vectors_are_normalised_and_checked(tmp_path: Path) -> None:
    rows = np.arange(2)
    np.save(tmp_path / "v.npy", np.array([[3.0, 4.0], [0.0, 2.0]]))
    np.testing.assert_allclose(load_embeddings(tmp_path / "v.npy", ["a", "b"], rows), [[0.6, 0.8], [0, 1]], rtol=1e-6)
    with pytest.raises(ConfigurationError, match=r"shape \(2, 2\): it needs one row for each of the 3 items"):
        load_embeddings(tmp_path / "v.npy", ["a", "b", "c"], rows)
    np.save(tmp_path / "v.npy", np.array([[np.nan, 4.0], [0.0, 2.0]]))
    with pytest.raises(ConfigurationError, match="not finite numbers"):
        load_embeddings(tmp_path / "v.npy", ["a", "b"], rows)
    np.save(tmp_path / "v.npy", np.array([[3.0, 4.0], [0.0, 0.0]]))
    with pytest.raises(ConfigurationError, match=r"no embedding of 1 of the 2 items .* the first is row 1"):
        load_embeddings(tmp_path / "v.npy", ["a", "b"], rows)
    assert load_embeddings(tmp_path / "v.npy", ["a", "b"], rows[:1]).shape == (2, 2)  # the other is not needed
    with pytest.raises(ConfigurationError, match="cannot read embeddings"):
        load_embeddings(tmp_path / "none.npy", ["a"], rows)
    with pytest.raises(ConfigurationError, match="--no-embedding-baselines"):
        load_embeddings(tmp_path / "nowhere", ["a"], rows)


def test_an_encoder_embeds_the_rows_that_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoder:
        def __init__(self, path: str, device: str) -> None:
            pass

        def encode(self, texts: list[str], show_progress_bar: bool) -> np.ndarray:
            return np.array([[len(text), 0.0] for text in texts])

    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=Encoder))
    told: list[tuple[str, int, int]] = []
    found = load_embeddings(tmp_path, ["aaa", "b", "cc"], np.array([0, 2]), lambda *at: told.append(at))
    np.testing.assert_allclose(found, [[1, 0], [0, 0], [1, 0]])
    assert told == [("embedding prompts", 2, 2)]
