"""What a batch holds, and that it depends on seed, epoch and position alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from modelsat.lab.training.arguments import CapabilityTrainingArguments
from modelsat.lab.training.batches import CapabilityBatches, descriptions_of
from tests.lab.training.conftest import UNSEEN

GROUPS = {"one": {"datasets": ["sums"], "candidates": 3}, "two": {"datasets": ["cells"], "share": 0.5}}


@pytest.fixture
def corpus(world):
    return world(groups=GROUPS).corpus()


@pytest.fixture
def batches(corpus, tmp_path):
    def make(**settings):
        arguments = CapabilityTrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=16, **settings)
        ids = [[2, 5 + row, 3] for row in range(len(corpus.table))]  # a token that names the row
        teacher = settings.get("teacher_weight") and np.full(corpus.table.scores.shape, 0.25, dtype=np.float32)
        source = dataclasses.replace(corpus, teacher=teacher if teacher is not None and teacher is not False else None)
        return CapabilityBatches(source, ids, arguments, 0, descriptions_of(corpus))

    return make


def rows_of(batch):
    return batch["input_ids"][:, 1].numpy() - 5


def columns_of(batch, corpus):
    """Models of a batch, recognised by their outcomes on its prompts."""
    scores = corpus.table.scores[rows_of(batch)]
    return [[c for c in range(scores.shape[1]) if np.array_equal(scores[:, c], column)] for column in batch["labels"].T]


def test_a_batch_is_a_function_of_seed_epoch_and_position(batches):
    first, second = batches(seed=3), batches(seed=3)
    second.set_epoch(1)
    assert any(not np.array_equal(rows_of(first[i]), rows_of(second[i])) for i in range(len(first)))
    _ = second[2]
    second.set_epoch(0)
    for index in (2, 0):
        assert all(torch.equal(first[index][key], second[index][key]) for key in first[index])
    other = batches(seed=4)
    assert any(not np.array_equal(rows_of(first[i]), rows_of(other[i])) for i in range(len(first)))


def test_an_epoch_sees_its_share_of_each_group_once(batches, corpus):
    data = batches()
    seen = [rows_of(data[index]) for index in range(len(data))]
    for rows in seen:
        assert len(set(corpus.table.datasets[rows])) == 1, "a batch holds prompts of one group"
    every = np.concatenate(seen)
    assert len(set(every)) == len(every)
    assert set(every) <= set(corpus.split.train)
    train = {
        name: len(np.intersect1d(corpus.split.train, corpus.table.of_datasets(name))) for name in ("sums", "cells")
    }
    count = {name: int((corpus.table.datasets[every] == name).sum()) for name in train}
    assert count == {"sums": train["sums"], "cells": round(train["cells"] * 0.5)}


def test_models_left_out_are_never_drawn_and_each_model_once(batches, corpus):
    left_out = corpus.table.column(UNSEEN)
    widths = set()
    for batch in (data[index] for data in [batches(max_candidates=5)] for index in range(len(data))):
        assert all(columns != [left_out] for columns in columns_of(batch, corpus))
        widths.add((str(corpus.table.datasets[rows_of(batch)[0]]), batch["labels"].shape[1]))
    assert widths == {("sums", 3), ("cells", 5)}, "a group's candidates, at most max_candidates"


def test_core_items_never_train_as_prompts(corpus):
    core = {"task": corpus.split.train[:30]}
    guarded = dataclasses.replace(corpus, core=core)
    assert not set(core["task"]) & set(np.concatenate([guarded.pool(group)[0] for group in guarded.groups]))


def test_distinguishing_items_weigh_more(batches, corpus):
    assert all((batches()[i]["weights"] == 1.0).all() for i in range(3))
    data = batches(distinguishing=2.0)
    training = [c for c, model in enumerate(corpus.table.models) if model != UNSEEN]
    for index in range(len(data)):
        batch = data[index]
        p = (corpus.table.scores[rows_of(batch)][:, training].sum(axis=1) + 0.5) / (len(training) + 1)
        ratio = batch["weights"][:, 0].numpy() / (4 * p * (1 - p)) ** 2
        assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-5)
        assert (batch["weights"] == batch["weights"][:, :1]).all()


def test_stronger_models_are_drawn_more_often(batches, corpus):
    def shares(**settings):
        data = batches(max_candidates=1, **settings)
        found = np.zeros(len(corpus.table.models))
        for epoch in range(60):
            data.set_epoch(epoch)
            for index in range(len(data)):
                for columns in columns_of(data[index], corpus):
                    found[columns] += len(columns) == 1
        return dict(zip(corpus.table.models, found / found.sum(), strict=True))

    plain, weighted = shares(), shares(stronger_models=1.0)
    assert plain["none"] == pytest.approx(plain["all"], abs=0.08)
    assert weighted["none"] < 0.06
    assert weighted["all"] > 1.5 * weighted["cells-b"]


def test_targets_are_mixed_with_the_teachers_probabilities(batches):
    batch = batches(teacher_weight=0.5)[0]
    assert torch.allclose(batch["targets"], 0.5 * batch["labels"] + 0.5 * 0.25)
    batch = batches()[0]
    assert torch.equal(batch["targets"], batch["labels"])


def test_teacher_fills_in_what_was_not_logged(corpus, tmp_path):
    scores, teacher = corpus.table.scores.copy(), np.full(corpus.table.scores.shape, 0.25, dtype=np.float32)
    row, other = (corpus.pool(corpus.groups[0])[0][at] for at in (0, 1))
    scores[row], teacher[other] = np.nan, np.nan
    table = dataclasses.replace(corpus.table, scores=scores)
    source = dataclasses.replace(corpus, table=table, teacher=teacher, groups=corpus.groups[:1])
    arguments = CapabilityTrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=999, teacher_weight=0.5
    )
    batch = CapabilityBatches(source, [[5 + r] * 3 for r in range(len(table))], arguments, 0, descriptions_of(corpus))[
        0
    ]
    found = {int(r): at for at, r in enumerate(rows_of(batch))}
    assert batch["labels"][found[row]].isnan().all()
    assert (batch["targets"][found[row]] == 0.25).all(), "no outcome: the teacher alone"
    assert torch.equal(batch["targets"][found[other]], batch["labels"][found[other]]), "no teacher: the outcome alone"


def test_token_noise_hides_tokens(batches):
    plain, noisy = batches()[0], batches(token_noise=0.5)[0]
    hidden = (plain["input_ids"] != noisy["input_ids"]) & (plain["attention_mask"] == 1)
    assert 0.2 < hidden.float().mean() < 0.8
