from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.lab.evaluation import CheckpointRouter, Evaluation, Kind, Money, Plan, Role, ScoresRouter, evaluate
from modelsat.lab.evaluation.inputs import Price
from modelsat.lab.evaluation.report import write_report
from modelsat.lab.evaluation.routers import SeedsRouter, parse_router
from modelsat.lab.outcomes import OutcomeTable, Split, split_by_question
from tests.fakes import FakeScorer, make_profile
from tests.lab.evaluation.conftest import make_embeddings, make_table

PRICES = {name: Price(1.0, 2.0 * rank, 100) for rank, name in enumerate(("algebra", "coin", "history"), start=1)}


def join(*tables: OutcomeTable) -> OutcomeTable:
    first = tables[0]
    names = ("item_ids", "datasets", "tasks", "prompts", "scores", "costs")
    return replace(first, **{name: np.concatenate([getattr(table, name) for table in tables]) for name in names})


def oracle_router(table: OutcomeTable, name: str = "seer") -> ScoresRouter:
    return ScoresRouter(name, "seer.csv", pd.DataFrame(table.scores, table.item_ids.astype(str), table.models))


@pytest.fixture(scope="module")
def world() -> OutcomeTable:
    return join(make_table(500), make_table(300, "quiz", seed=1))


@pytest.fixture(scope="module")
def found(world: OutcomeTable) -> Evaluation:
    return evaluate(
        world,
        [oracle_router(world)],
        Plan(unseen_models=("newcomer", "veteran"), unseen_datasets=("quiz",)),
        embeddings=make_embeddings(world),
        seeds=2,
        money=Money(PRICES),
    )


def test_three_settings_stand_apart(found: Evaluation) -> None:
    assert [(result.dataset, result.kind) for result in found.settings] == [
        ("exam", Kind.SEEN),
        ("exam", Kind.UNSEEN_MODELS),
        ("quiz", Kind.UNSEEN_DATASET),
    ]
    seen, unseen, elsewhere = found.settings
    assert set(seen.models) == {"algebra", "coin", "history"}
    assert set(unseen.models) == {"newcomer", "veteran"}
    assert len(elsewhere.models) == 5
    assert elsewhere.prompts == 300


def test_every_row_stands_beside_the_router(found: Evaluation) -> None:
    seen, unseen, elsewhere = ([row.name for row in result.rows] for result in found.settings)
    assert seen == [
        *("random", "oracle", "best single", "per-task best", "kNN", "logistic", "MLP", "clusters"),
        *("matrix factorisation", "seer"),
    ]
    assert unseen == [
        *("random", "oracle", "best single", "best single (core items)", "per-task best (core items)"),
        *("kNN (core items)", "UniRoute clusters (core items)", "per-task best (all outcomes)", "kNN (all outcomes)"),
        "seer",
    ]
    assert elsewhere == [
        *("random", "oracle", "best single (hindsight)", "best single (elsewhere)", "kNN (elsewhere)", "seer")
    ]


def test_a_router_that_knows_the_outcomes_is_the_oracle(found: Evaluation) -> None:
    for result in found.settings:
        seer, oracle = result.row("seer").metrics, result.row("oracle").metrics
        assert seer["accuracy"] == oracle["accuracy"] >= max(row.metrics["accuracy"] for row in result.rows)
        assert seer["gap_closed"] == pytest.approx(1.0)
        assert seer["auc"] == 1.0
        assert seer["brier"] == 0.0


def test_routing_helps_where_it_can(found: Evaluation) -> None:
    seen = found.setting("exam")
    for name in ("kNN", "logistic", "MLP", "clusters", "matrix factorisation"):
        assert seen.row(name).metrics["accuracy"] > seen.row("best single").metrics["accuracy"] + 0.1
    unseen = found.setting("exam", Kind.UNSEEN_MODELS)
    for name in ("kNN (core items)", "UniRoute clusters (core items)", "kNN (all outcomes)"):
        assert unseen.row(name).metrics["accuracy"] > 0.7
    assert unseen.row("kNN (all outcomes)").role is Role.CEILING
    elsewhere = found.setting("quiz", Kind.UNSEEN_DATASET)
    assert elsewhere.row("kNN (elsewhere)").metrics["accuracy"] > 0.7


def test_seeds_spread_and_comparisons(found: Evaluation) -> None:
    seen = found.setting("exam")
    assert seen.row("MLP").seeds == 2
    assert "accuracy" in seen.row("MLP").spread
    assert seen.row("kNN").seeds == 1
    difference = seen.compare("seer", "best single").differences["accuracy"]
    assert 0 < difference.low <= difference.mean <= difference.high
    assert difference.mean == pytest.approx(seen.row("seer").metrics["gain_over_best_single"])
    with pytest.raises(OutcomesError, match="was not compared"):
        seen.compare("kNN", "seer")
    with pytest.raises(OutcomesError, match="no row 'Knn'"):
        seen.row("Knn")
    with pytest.raises(OutcomesError, match="was not measured"):
        found.setting("quiz")


def test_costs_count_priced_models(found: Evaluation) -> None:
    seen = found.setting("exam")
    assert set(seen.singles) == set(PRICES)
    assert seen.row("oracle").metrics["aiq"] >= seen.row("kNN").metrics["aiq"] > seen.row("best single").metrics["aiq"]
    assert seen.row("kNN").metrics["pareto_distance"] >= 0
    unseen = found.setting("exam", Kind.UNSEEN_MODELS)
    assert "aiq" not in unseen.row("kNN (core items)").metrics
    assert any("no price for newcomer, veteran" in note for note in unseen.notes)


def test_shares_and_tasks_add_up(found: Evaluation) -> None:
    seen = found.setting("exam")
    assert sum(seen.task_sizes.values()) == seen.prompts
    for row in seen.rows:
        for shares in row.share.values():
            assert sum(shares) == pytest.approx(1.0)
    best = seen.models[int(np.argmax(seen.row("kNN").share["sums"]))]
    assert best == "algebra"


def test_the_results_are_json_and_the_report_stands_alone(found: Evaluation, tmp_path: Path) -> None:
    found.save(tmp_path / "metrics.json")
    raw = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert raw["settings"][0]["rows"][0]["name"] == "random"
    assert raw["about"]["unseen_models"] == ["newcomer", "veteran"]
    write_report(found, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<svg" in text
    assert "<script src" not in text
    assert text.count("<figure>") >= 10


def test_without_embeddings_the_rest_is_measured(world: OutcomeTable) -> None:
    found = evaluate(world, plan=Plan(datasets=("exam",)))
    assert [row.name for row in found.setting("exam").rows] == ["random", "oracle", "best single", "per-task best"]


def test_a_checkpoint_is_scored_by_profile_and_raw_scores_are_kept(world: OutcomeTable) -> None:
    accuracy = dict(zip(world.models, (0.5, 0.45, 0.4, 0.3, 0.2), strict=True))
    profiles = {model: make_profile(model, value) for model, value in accuracy.items()}
    scorer = FakeScorer({value: value for value in accuracy.values()})
    asked: list[tuple[str, str]] = []

    def profile(dataset: str, model: str) -> object:
        asked.append((dataset, model))
        return profiles[model]

    router = CheckpointRouter("net", scorer, profile, scale=2.0, shift=0.5)
    found = evaluate(world, [router], Plan(datasets=("exam",)))
    row = found.setting("exam").row("net")
    assert set(asked) == {("exam", model) for model in world.models}
    assert max(map(len, scorer.calls)) <= 128
    assert row.metrics["auc"] == 0.5
    assert row.uncalibrated is not None
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    np.testing.assert_allclose(logit(row.reliability.predicted), 2 * logit(row.uncalibrated.predicted) + 0.5, atol=0.1)


# -- bad input -----------------------------------------------------------------------------------------------------


def test_a_model_without_profile_is_named_before_any_work(world: OutcomeTable) -> None:
    scorer = FakeScorer()
    router = CheckpointRouter("net", scorer, {"algebra": make_profile("algebra")})
    with pytest.raises(OutcomesError, match="'exam': no capability profile for coin, history, newcomer, veteran"):
        evaluate(world, [router], embeddings="nowhere")  # which would be refused next
    assert not scorer.calls


def test_incomplete_scores_are_named(world: OutcomeTable) -> None:
    router = oracle_router(world)
    scores = router.scores.drop(columns="coin")
    with pytest.raises(
        OutcomesError, match=r"seer.csv lacks \d+ of \d+ scores for data set 'exam': models coin; items"
    ):
        evaluate(world, [replace(router, scores=scores)], Plan(datasets=("exam",)))


def test_a_router_without_scores_for_a_data_set_is_noted(world: OutcomeTable) -> None:
    router = oracle_router(world)
    found = evaluate(world, [replace(router, scores=router.scores.filter(like="quiz", axis="index"))])
    assert "seer has no scores for this data set" in found.setting("exam").notes
    assert found.setting("quiz").row("seer").role is Role.ROUTER


def test_two_routers_of_one_name(world: OutcomeTable) -> None:
    with pytest.raises(ConfigurationError, match="two routers are called seer"):
        evaluate(world, [oracle_router(world), oracle_router(world)])


def test_trainings_with_other_seeds_are_one_row_with_its_spread(world: OutcomeTable) -> None:
    first = oracle_router(world)
    second = replace(first, scores=1.0 - first.scores)
    routers = [first, SeedsRouter("both", [replace(first, name="both"), second])]
    both = evaluate(world, routers, Plan(datasets=("exam",))).setting("exam").row("both")
    alone = evaluate(world, [replace(second, name="no")], Plan(datasets=("exam",))).setting("exam").row("no")
    assert both.seeds == 2
    assert both.metrics["auc"] == pytest.approx(0.5)
    assert both.metrics["accuracy"] == pytest.approx((1.0 + alone.metrics["accuracy"]) / 2, abs=0.2)
    assert both.spread["auc"] == pytest.approx(0.5 * 2**0.5), "standard deviation of 1 and 0"
    scores = first.scores.drop(columns="coin")
    incomplete = SeedsRouter("both", [first, replace(first, scores=scores)])
    with pytest.raises(OutcomesError, match="lacks"):
        evaluate(world, [incomplete], Plan(datasets=("exam",)))


def test_several_trainings_need_a_name() -> None:
    for text in ("a.csv,b.csv", "=a.csv,b.csv", "nano=a.csv,"):
        with pytest.raises(ConfigurationError, match="NAME=PATH,PATH"):
            parse_router(text, {})


def test_unknown_names(world: OutcomeTable) -> None:
    with pytest.raises(OutcomesError, match="nothing of 'nobody'"):
        evaluate(world, plan=Plan(unseen_models=("nobody",)))
    with pytest.raises(OutcomesError, match="no data set nowhere; theirs: exam, quiz"):
        evaluate(world, plan=Plan(datasets=("nowhere",)))
    with pytest.raises(OutcomesError, match="unseen data sets: the items have no data set nowhere"):
        evaluate(world, plan=Plan(unseen_datasets=("nowhere",)))


def test_a_single_outcome_value(world: OutcomeTable) -> None:
    scores = world.scores.copy()
    scores[world.datasets == "quiz"] = 1.0
    with pytest.raises(OutcomesError, match="column score, data set 'quiz': every score is 1"):
        evaluate(replace(world, scores=scores))


def test_an_empty_split(world: OutcomeTable) -> None:
    tiny = join(world, make_table(2, "tiny"))
    with pytest.raises(OutcomesError, match=r"data set 'tiny' has no (training|validation|test) prompts \(2 items"):
        evaluate(tiny)


def test_training_rows_that_ask_test_questions(world: OutcomeTable) -> None:
    split = split_by_question(world)
    leaky = Split(np.append(split.train, split.test[0]), split.validation, split.test)
    with pytest.raises(
        OutcomesError, match=rf"item '{world.item_ids[split.test[0]]}' of the test part asks a question"
    ):
        evaluate(world, split=leaky)


def test_one_model_only(world: OutcomeTable) -> None:
    alone = world.take(np.arange(len(world)), np.array([0]))
    with pytest.raises(OutcomesError, match="one model only"):
        evaluate(alone)


def test_embeddings_that_do_not_fit(world: OutcomeTable) -> None:
    with pytest.raises(ConfigurationError, match="3 embeddings for 800 items"):
        evaluate(world, embeddings=np.zeros((3, 2), np.float32))


def test_questions_of_an_unseen_data_set_that_trained_elsewhere_are_not_measured() -> None:
    exam, quiz = make_table(300), make_table(60, "quiz", seed=1)
    train = split_by_question(exam).train
    prompts = quiz.prompts.copy()
    prompts[:20] = exam.prompts[train[:20]]
    found = evaluate(join(exam, replace(quiz, prompts=prompts)), plan=Plan(unseen_datasets=("quiz",)))
    assert found.setting("quiz", Kind.UNSEEN_DATASET).prompts == 40
