"""A request that carries images is judged by what candidates make of images."""

from __future__ import annotations

import pytest

from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.capability.registry import Registry
from modelsat.capability.sight import sight
from modelsat.router import Router
from tests.fakes import FakeScorer

TEXT = {"GPQA": 0.7, "MATH-500": 0.95, "HumanEval": 0.93}
CHART = [
    {"type": "text", "text": "Which year had the lowest sales?"},
    {"type": "image_url", "image_url": {"url": "https://example.org/sales.png"}},
]


def model(name: str, mmlu: float = 0.88, **on_images: float) -> CapabilityProfile:
    figures = {"MMLU": mmlu, **TEXT, **{task.replace("_", "-"): accuracy for task, accuracy in on_images.items()}}
    statements = [CapabilityStatement(task=task, accuracy=value, items=900) for task, value in figures.items()]
    return CapabilityProfile(model=name, statements=statements)


@pytest.fixture
def router() -> Router:
    """A champion on text that reads images badly, and one that reads them well; both can be given images."""
    profiles = [model("champion", 0.9, MMMU=0.35, MMMU_Pro=0.2), model("sighted", MMMU=0.86, MMMU_Pro=0.8)]
    facts = {name: {"abilities": ["vision"]} for name in ("champion", "sighted")}
    return Router(profiles, scorer=FakeScorer({0.9: 0.75, 0.88: 0.7}), facts=facts)


def test_a_champion_of_text_does_not_win_a_question_about_a_chart(router: Router) -> None:
    decision = router.route([{"role": "user", "content": CHART}])
    assert decision.model == "sighted"
    assert "judged by their figures on images too: champion, sighted" in decision.notes


def test_figures_on_images_do_not_touch_a_request_without_any(router: Router) -> None:
    decision = router.route("Which year had the lowest sales?")
    assert decision.scores == pytest.approx({"champion": 0.75, "sighted": 0.7})
    assert not decision.notes


def test_a_model_without_figures_on_images_is_judged_by_its_text() -> None:
    profile = model("unseen")
    assert sight(profile) == 0.0
    only = [CapabilityStatement(task="MMMU", accuracy=0.2, items=900)]
    assert sight(CapabilityProfile(model="only", statements=only)) == 0.0


def test_one_figure_on_a_few_images_moves_little() -> None:
    few = [*model("few").statements, CapabilityStatement(task="MMMU", accuracy=0.35, items=10)]
    assert -0.5 < sight(CapabilityProfile(model="few", statements=few)) < 0.0
    assert sight(model("many", MMMU=0.35, MMMU_Pro=0.2)) < -0.5


def test_shipped_profiles_move_by_less_than_a_logit() -> None:
    found = [sight(profile) for profile in Registry.shipped()]
    assert sum(shift != 0.0 for shift in found) > 25
    assert max(map(abs, found)) < 1.0
