"""The batches of an epoch: a pure function of seed, epoch and position, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from modelsat.capability import CapabilityProfile
from modelsat.capability.equating import FEATURES, equate, profile_features, statement_features
from modelsat.lab.outcomes.table import Rows
from modelsat.lab.training.arguments import CapabilityTrainingArguments
from modelsat.lab.training.corpus import Corpus, Group
from modelsat.lab.training.sampling import ProfileSampler, task_description
from modelsat.network.instruction import pad

Batch = dict[str, Tensor]


class CapabilityBatches(Dataset[Batch]):
    """Each element is a whole batch: prompts of one group and similar length, models with freshly drawn profiles.

    Args:
        corpus: What is learnt from.
        ids: Token ids of every prompt of the corpus.
        arguments: Settings.
        pad_id: Token id used for padding.
        descriptions: Every task description that a profile may hold; batches refer to them by position.
        noise_id: Token id that hides tokens (``token_noise``).
        tasks: The network's reference tasks; those of the catalogue if not given.
    """

    def __init__(
        self,
        corpus: Corpus,
        ids: Sequence[Sequence[int]],
        arguments: CapabilityTrainingArguments,
        pad_id: int,
        descriptions: Sequence[str],
        noise_id: int = 0,
        tasks: Sequence[str] | None = None,
    ) -> None:
        self._noise_id, self._tasks = noise_id, tasks
        self._corpus, self._ids, self._arguments, self._pad_id = corpus, ids, arguments, pad_id
        self._lengths = np.array([len(row) for row in ids])
        self._positions = {text: position for position, text in enumerate(descriptions)}
        self._sampler = ProfileSampler(
            corpus.table,
            corpus.core,
            corpus.profiles,
            shots=arguments.shots,
            subsample=arguments.subsample_statements,
            noise=arguments.statement_noise,
        )
        self._weights = _item_weights(corpus, arguments.distinguishing)
        self._odds = {group.name: _model_odds(corpus, group, arguments.stronger_models) for group in corpus.groups}
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of an epoch."""
        self._epoch = epoch
        rng = np.random.default_rng([self._arguments.seed, epoch])
        plan = []
        for group in self._corpus.groups:
            rows = self._corpus.pool(group)[0]
            chosen = np.concatenate(_passes(rows, group.share, rng))
            plan += [(group, part) for part in self._similar_length(chosen, rng)]
        self._plan = [plan[index] for index in rng.permutation(len(plan))]

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: int) -> Batch:
        """Batch ``index`` of the epoch: tokens, profiles, labels, targets, weights and rows of the table."""
        group, rows = self._plan[index]
        rng = np.random.default_rng([self._arguments.seed, self._epoch, index])
        columns = self._candidates(group, rng)
        models = [self._corpus.table.models[column] for column in columns]
        batch = pad([self._ids[row] for row in rows], self._pad_id)
        labels = self._corpus.table.scores[np.ix_(rows, columns)]
        if self._arguments.token_noise:
            hidden = rng.random(batch.input_ids.shape) < self._arguments.token_noise
            batch.input_ids[hidden & (batch.attention_mask == 1)] = self._noise_id
        return {
            "input_ids": torch.from_numpy(batch.input_ids),
            "attention_mask": torch.from_numpy(batch.attention_mask),
            **self._profiles(models, rng),
            "labels": torch.from_numpy(labels),
            "targets": torch.from_numpy(self._targets(rows, columns, labels)),
            "weights": torch.from_numpy(np.repeat(self._weights[rows][:, None], len(columns), axis=1)),
            "rows": torch.from_numpy(rows),
        }

    def _profiles(self, models: Sequence[str], rng: np.random.Generator) -> Batch:
        # drawn figures are noisy on purpose: no typing errors to look for
        drawn = [self._sampler.draw(model, rng) for model in models]
        return profile_tensors(drawn, self._positions, self._tasks, report=False)

    def _similar_length(self, rows: Rows, rng: np.random.Generator) -> list[Rows]:
        size = self._arguments.per_device_train_batch_size
        noisy = self._lengths[rows] * rng.uniform(0.8, 1.2, len(rows))
        ordered = rows[np.argsort(noisy, kind="stable")]
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]

    def _candidates(self, group: Group, rng: np.random.Generator) -> Rows:
        columns = self._corpus.pool(group)[1]
        count = min(len(columns), group.candidates, self._arguments.max_candidates)
        odds = self._odds[group.name]
        return rng.choice(columns, count, replace=False, p=odds / odds.sum())

    def _targets(self, rows: Rows, columns: Rows, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        share = self._arguments.teacher_weight
        if self._corpus.teacher is None or not share:
            return labels
        taught = self._corpus.teacher[np.ix_(rows, columns)]
        mixed = (1.0 - share) * labels + share * taught
        return np.where(np.isnan(labels), taught, np.where(np.isnan(taught), labels, mixed)).astype(np.float32)


def _passes(rows: Rows, share: float, rng: np.random.Generator) -> list[Rows]:
    """``share`` passes over ``rows``, each in a random order; the last may be a part."""
    passes = [rng.permutation(rows) for _ in range(int(share))]
    rest = round(len(rows) * (share - int(share)))
    return passes if passes and not rest else [*passes, rng.permutation(rows)[: max(1, rest)]]


def profile_tensors(
    profiles: Sequence[CapabilityProfile],
    positions: dict[str, int],
    tasks: Sequence[str] | None = None,
    *,
    report: bool = True,
) -> Batch:
    """Profiles as padded tensors: ``description_index``, ``features``, ``overall``, ``statement_mask``.

    Args:
        profiles: The profiles.
        positions: Position of each task description in the list that ``description_index`` refers to.
        tasks: The network's reference tasks; those of the catalogue if not given.
        report: Log figures that are taken for mistakes.
    """
    longest = max(len(profile.statements) for profile in profiles)
    index = torch.zeros(len(profiles), longest, dtype=torch.long)
    features = torch.zeros(len(profiles), longest, FEATURES)
    overall: list[Tensor] = []
    mask = torch.zeros(len(profiles), longest)
    for row, profile in enumerate(profiles):
        count = len(profile.statements)
        equated = equate(profile, report=report)
        index[row, :count] = torch.tensor([positions[statement.description] for statement in profile.statements])
        features[row, :count] = torch.from_numpy(statement_features(profile, equated))
        overall.append(torch.from_numpy(profile_features(profile, equated, tasks)))
        mask[row, :count] = 1.0
    return {"description_index": index, "features": features, "overall": torch.stack(overall), "statement_mask": mask}


def descriptions_of(corpus: Corpus) -> list[str]:
    """Every task description that a profile drawn from ``corpus`` may hold, sorted."""
    given = {statement.description for profile in corpus.profiles.values() for statement in profile.statements}
    return sorted(given | {task_description(task) for task in corpus.core})


def _item_weights(corpus: Corpus, exponent: float) -> NDArray[np.float32]:
    """Distinguishing items count more: (4p(1-p))^exponent, p the share of training models that pass; mean 1."""
    if not exponent:
        return np.ones(len(corpus.table), dtype=np.float32)
    columns = np.array([c for c, model in enumerate(corpus.table.models) if model not in corpus.unseen], dtype=np.intp)
    scores = corpus.table.scores[:, columns]
    count = (~np.isnan(scores)).sum(axis=1)
    p = (np.nansum(scores, axis=1) + 0.5) / (count + 1.0)
    weights = (4.0 * p * (1.0 - p)) ** exponent
    return np.asarray(weights / weights[corpus.split.train].mean(), dtype=np.float32)


def _model_odds(corpus: Corpus, group: Group, exponent: float) -> NDArray[np.float64]:
    """Stronger models are drawn more often: mean score on the group's training prompts ^ exponent, shape (models,)."""
    scores = corpus.table.scores[np.ix_(*corpus.pool(group))].astype(np.float64)
    mean = np.nansum(scores, axis=0) / np.maximum((~np.isnan(scores)).sum(axis=0), 1)
    return np.asarray(np.maximum(mean, 1e-3) ** exponent)
