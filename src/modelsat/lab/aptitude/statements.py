"""From answers to figures: accuracy, counts and interval of every task.

In the full mode a figure is the share of right answers. In the adaptive mode items are chosen for what they tell, so
the share of right answers among them says little; a figure is then the accuracy on all items of the task: outcomes
where items were asked, probabilities under the item response model elsewhere. The number of items stated is always the
number asked, so nothing downstream takes a figure for surer than its own answers make it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from modelsat.lab.aptitude.posterior import CoreModel, Posterior
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.result import TaskResult, Z, wilson
from modelsat.lab.aptitude.store import Answer


def measured(
    questions: Sequence[Question],
    answers: Mapping[str, Answer],
    descriptions: Mapping[str, str],
    scores: Mapping[str, float],
) -> list[TaskResult]:
    """Tasks by the share of right answers; tasks without an answer are left out.

    Args:
        questions: What there is to ask.
        answers: Answers by question.
        descriptions: Keywords by task.
        scores: Score of each answered question, 0..1; the circle test may have lowered it.
    """
    results = []
    for task in dict.fromkeys(question.task for question in questions):
        items = [question.id for question in questions if question.task == task]
        asked = [identifier for identifier in items if identifier in answers]
        if not asked:
            continue
        right = float(sum(scores[identifier] for identifier in asked))
        unread = sum(answers[identifier].problem is not None for identifier in asked)
        low, high = wilson(right / len(asked), len(asked))
        results.append(
            TaskResult(
                task, descriptions.get(task, ""), len(asked), right, unread, len(items), right / len(asked), low, high
            )
        )
    return results


def expected(
    model: CoreModel, posterior: Posterior, scores: Mapping[int, float], unread: Collection[int]
) -> list[TaskResult]:
    """Tasks by the accuracy on all of their items, asked or not; tasks of which no item was asked are left out.

    Args:
        model: The core items.
        posterior: Where the tested model stands.
        scores: Score of each item asked, 0..1, by id.
        unread: Ids of items whose reply held no answer.
    """
    filled, asked = posterior.expected.copy(), np.zeros(len(model.ids), dtype=bool)
    for number, score in scores.items():
        filled[model.row(number)], asked[model.row(number)] = score, True
    size = np.bincount(model.task)
    accuracy = np.bincount(model.task, filled) / size
    counts = np.bincount(model.task[asked], minlength=len(size))
    right = np.bincount(model.task[asked], filled[asked], minlength=len(size))
    missed = np.bincount(model.task[[model.row(number) for number in unread]], minlength=len(size))
    reach = Z * np.sqrt(posterior.variance)
    return [
        TaskResult(
            task=task.name,
            description=", ".join(task.keywords),
            asked=int(counts[place]),
            right=float(right[place]),
            unread=int(missed[place]),
            items=int(size[place]),
            accuracy=float(accuracy[place]),
            low=float(max(0.0, accuracy[place] - reach[place])),
            high=float(min(1.0, accuracy[place] + reach[place])),
        )
        for place, task in enumerate(model.tasks)
        if counts[place]
    ]
