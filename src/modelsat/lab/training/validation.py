"""Validation: how well probabilities and choices hold on new prompts, for models that trained and models left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from modelsat.capability import CapabilityProfile
from modelsat.lab.training.batches import profile_tensors
from modelsat.lab.training.corpus import Corpus
from modelsat.lab.training.frozen import FrozenStates
from modelsat.lab.training.sampling import ProfileSampler
from modelsat.network.instruction import InstructionTokenizer, pad
from modelsat.network.model import ModelSATModel

Floats = NDArray[np.float32]
StatesOf = Callable[[NDArray[np.intp], int], Tensor]
"""Positions of prompts and a length give states behind frozen layers, shape (prompts, length, width)."""


_DESCRIPTIONS = 64


def embed_texts(model: ModelSATModel, tokenizer: InstructionTokenizer, texts: list[str]) -> Tensor:
    """Text embeddings of task descriptions by psi's encoder, shape (texts, text_width)."""
    parts = []
    for start in range(0, len(texts), _DESCRIPTIONS):
        batch = tokenizer.descriptions(texts[start : start + _DESCRIPTIONS])
        ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
        parts.append(model.embed_text(ids.to(model.device), mask.to(model.device)).float())
    return torch.cat(parts)


@torch.no_grad()
def capabilities(
    model: ModelSATModel, tokenizer: InstructionTokenizer, profiles: Sequence[CapabilityProfile]
) -> Tensor:
    """e_c of profiles, shape (profiles, width)."""
    texts = sorted({statement.description for profile in profiles for statement in profile.statements})
    tensors = profile_tensors(
        profiles, {text: position for position, text in enumerate(texts)}, model.config.reference_tasks
    )
    words = embed_texts(model, tokenizer, texts)[tensors.pop("description_index")]
    moved = {name: value.to(model.device) for name, value in tensors.items()}
    return model.encode_capabilities(words, moved["features"], moved["overall"], moved["statement_mask"])


@torch.no_grad()
def predict(
    model: ModelSATModel,
    ids: Sequence[Sequence[int]],
    candidates: Tensor,
    pad_id: int = 0,
    size: int = 64,
    states_of: StatesOf | None = None,
) -> Floats:
    """Uncalibrated logits of prompts, float32, shape (prompts, candidates)."""
    logits = np.zeros((len(ids), len(candidates)), dtype=np.float32)
    order = np.argsort([len(row) for row in ids], kind="stable")
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        batch = pad([ids[index] for index in chosen], pad_id)
        tokens = (torch.from_numpy(part).to(model.device) for part in (batch.input_ids, batch.attention_mask))
        states = None if states_of is None else states_of(chosen, batch.input_ids.shape[1])
        logits[chosen] = model(*tokens, candidates, states=states).float().cpu().numpy()
    return logits


def predict_rows(
    model: ModelSATModel,
    ids: Sequence[Sequence[int]] | Mapping[int, Sequence[int]],
    rows: NDArray[np.intp],
    candidates: Tensor,
    frozen: FrozenStates | None = None,
) -> Floats:
    """:func:`predict` for some prompts of all, by way of the kept states of frozen layers if there are any."""
    pad_id = int(model.config.phi_config.pad_token_id or 0)
    states_of = None if frozen is None else lambda chosen, length: frozen.of(rows[chosen].tolist(), length)
    return predict(model, [ids[row] for row in rows.tolist()], candidates, pad_id, states_of=states_of)


def validate(
    model: ModelSATModel,
    tokenizer: InstructionTokenizer,
    corpus: Corpus,
    ids: Sequence[Sequence[int]],
    frozen: FrozenStates | None = None,
) -> dict[str, float]:
    """AUC, Brier score and choice on validation prompts.

    Returns:
        By group: ``{group}_seen_auc``, ``{group}_seen_brier``, the same with ``unseen`` for models left out, and
        ``{group}_gain``: accuracy of the best-scored model's answers minus that of the model with the best training
        mean. ``loss``: the mean of all Brier scores.
    """
    training = model.training
    model.eval()  # type: ignore[no-untyped-call]
    sampler = ProfileSampler(corpus.table, corpus.core, corpus.profiles)
    report: dict[str, float] = {}
    for group in corpus.groups:
        rows, columns = corpus.validation(group)
        models = [corpus.table.models[column] for column in columns]
        encoded = capabilities(model, tokenizer, [sampler.full(name) for name in models])
        logits = predict_rows(model, ids, rows, encoded, frozen)
        labels = corpus.table.scores[np.ix_(rows, columns)]
        left_out = np.array([name in corpus.unseen for name in models])
        for kind, mask in (("seen", ~left_out), ("unseen", left_out)):
            if mask.any():
                p = 1.0 / (1.0 + np.exp(-logits[:, mask]))
                report[f"{group.name}_{kind}_auc"] = mean_auc(logits[:, mask], labels[:, mask])
                report[f"{group.name}_{kind}_brier"] = float(np.nanmean((p - labels[:, mask]) ** 2))
        report[f"{group.name}_gain"] = _gain(logits, labels, corpus, group.datasets, columns)
    model.train(training)
    report["loss"] = float(np.mean([value for name, value in report.items() if name.endswith("_brier")]))
    return report


def mean_auc(scores: Floats, labels: Floats) -> float:
    """Mean over models of the AUC of predicted success; NaN where no model has both outcomes."""
    values = []
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        truth = labels[known, column] > 0.5
        if 0 < truth.sum() < len(truth):
            values.append(roc_auc_score(truth, scores[known, column]))
    return float(np.mean(values)) if values else float("nan")


def _gain(logits: Floats, labels: Floats, corpus: Corpus, datasets: Sequence[str], columns: NDArray[np.intp]) -> float:
    train = np.intersect1d(corpus.split.train, corpus.table.of_datasets(datasets))
    known = ~np.isnan(labels)
    means = np.full(len(columns), -1.0)  # a model without training outcomes is no one's first choice
    trained = corpus.table.known[np.ix_(train, columns)].any(axis=0)
    means[trained] = np.nanmean(corpus.table.scores[np.ix_(train, columns[trained])], axis=0)
    answered = np.flatnonzero(known.any(axis=1))
    best = np.where(known, means, -np.inf).argmax(axis=1)[answered]
    chosen = np.where(known, logits, -np.inf).argmax(axis=1)[answered]
    return float((labels[answered, chosen] - labels[answered, best]).mean())
