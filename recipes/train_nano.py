"""Train modelsat-nano: capability instruction tuning on logged outcomes, both directions of supervision.

    python recipes/train_nano.py --base DIR_OF_ALL_MINILM_L6_V2 --output runs/nano

Every step shows one batch of prompts of one group of data sets and a sample of models, each with a freshly drawn profile (any
number of statements, in any order, on 5 to 20 items each, or benchmark figures). The loss has three terms: Bernoulli likelihood of
all outcomes; loss 5 of the paper (for a model, an instruction it did well against those it did badly); and the same the other way
round (for an instruction, a model that did well against those that did not). The last checkpoint chosen on validation is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

import outcomes as oc
from modelsat.capability import CapabilityProfile, CapabilityStatement
from modelsat.capability.ability import statement_features
from modelsat.network.config import ModelSATConfig
from modelsat.network.instruction import InstructionTokenizer, pad
from modelsat.network.model import ModelSATModel

GROUPS: dict[str, tuple[tuple[str, ...], int, float]] = {
    "mmlu_pro": (("mmlu_pro",), 10, 1.0),
    "zeroeval": (("gsm8k", "math_l5", "crux"), 10, 1.0),
    "routellm": (("mmlu_routellm", "gsm8k_routellm"), 2, 0.25),
}
"""Data sets, models a step, and share of the prompts seen in an epoch."""


def build_model(base: Path) -> tuple[ModelSATModel, Tokenizer]:
    """A network on the sentence encoder in ``base``, psi sharing phi's weights, with a one-token inquiry prompt."""
    phi = AutoConfig.from_pretrained(base, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config = ModelSATConfig(phi_config=phi, inquiry_prompt="[MASK]")
    model = ModelSATModel(config)
    model.phi.load_state_dict(AutoModel.from_pretrained(base, add_pooling_layer=False).state_dict())
    nn.init.zeros_(model.head[2].bias)
    nn.init.normal_(model.head[2].weight, std=0.02)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    model.set_prompt_ids(tokenizer.encode(config.inquiry_prompt, add_special_tokens=False).ids)
    return model, tokenizer


class CapabilitySide:
    """Profiles to capability embeddings; the descriptions' text embeddings are recomputed now and then, without gradient."""

    def __init__(self, model: ModelSATModel, tokenizer: InstructionTokenizer) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._texts: dict[str, Tensor] = {}

    @torch.no_grad()
    def refresh(self, descriptions: list[str]) -> None:
        training = self._model.training
        self._model.eval()
        for start in range(0, len(descriptions), 64):
            chunk = descriptions[start : start + 64]
            batch = self._tokenizer(chunk)
            embedded = self._model.embed_text(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask))
            self._texts.update(zip(chunk, embedded, strict=True))
        self._model.train(training)

    def __call__(self, profiles: list[CapabilityProfile]) -> Tensor:
        longest = max(len(profile.statements) for profile in profiles)
        features = torch.zeros(len(profiles), longest, self._model.config.statement_features)
        words = torch.zeros(len(profiles), longest, self._model.config.phi_config.hidden_size)
        mask = torch.zeros(len(profiles), longest)
        for index, profile in enumerate(profiles):
            count = len(profile.statements)
            features[index, :count] = torch.from_numpy(statement_features(profile))
            words[index, :count] = torch.stack([self._texts[s.description] for s in profile.statements])
            mask[index, :count] = 1
        return self._model.encode_capabilities(words, features, mask)


class ProfileSampler:
    """Draws a fresh profile of a model: subsets, shots and kinds of statement vary, so that any profile is familiar."""

    def __init__(self, bank: oc.ProfileBank, seed: int) -> None:
        self._bank, self._rng = bank, np.random.default_rng(seed)

    def __call__(self, model: str) -> CapabilityProfile:
        rng = self._rng
        figures = self._bank.benchmarks(model)
        rows: list[dict[str, object]] = []
        if self._bank.has_core(model) and not (figures and rng.random() < 0.15):
            count = 50 if rng.random() < 0.4 else int(np.exp(rng.uniform(np.log(2), np.log(50))))
            tasks = list(rng.permutation(self._bank.core_tasks)[:count])
            rows = self._bank.core(model, int(rng.choice([5, 10, 20, 20, 20])), tasks, rng)
            if rng.random() < 0.1:
                rows = self._bank.large(model, tasks) or rows
            if figures and rng.random() < 0.3:
                rows += list(rng.permutation(np.array(figures, dtype=object))[: rng.integers(1, len(figures) + 1)])
        else:
            keep = len(figures) if rng.random() < 0.5 else int(rng.integers(1, len(figures) + 1))
            rows = list(rng.permutation(np.array(figures, dtype=object))[:keep])
        return CapabilityProfile.model_construct(model=model, statements=tuple(CapabilityStatement.model_construct(**{"description": "", "source": "", **row, "description": _description(row)}) for row in rows))


def _description(row: dict[str, object]) -> str:
    return CapabilityStatement(**row).description


def contrast(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss 5: each positive of a column against that column's negatives; NaN labels take no part. Both (batch, models)."""
    known = ~labels.isnan()
    good, bad = known & (labels > 0.5), known & (labels <= 0.5)
    against = torch.logsumexp(logits.masked_fill(~bad, -1e4), dim=0, keepdim=True)
    loss = torch.logaddexp(logits, against) - logits
    usable = good & bad.any(dim=0, keepdim=True)
    return loss[usable].mean() if usable.any() else logits.sum() * 0.0


def objective(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Bernoulli likelihood of all outcomes plus ``weight`` times the contrast in both directions."""
    known = ~labels.isnan()
    likelihood = nn.functional.binary_cross_entropy_with_logits(logits[known], labels[known])
    return likelihood + weight * (contrast(logits, labels) + contrast(logits.T, labels.T))


def batches(rows: np.ndarray, lengths: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of prompts of similar length, in random order."""
    noisy = lengths[rows] * rng.uniform(0.8, 1.2, len(rows))
    ordered = rows[np.argsort(noisy)]
    chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [chunks[index] for index in rng.permutation(len(chunks))]


@torch.no_grad()
def predict(model: ModelSATModel, side: CapabilitySide, profiles: list[CapabilityProfile], ids: list[list[int]], size: int = 64) -> np.ndarray:
    """Uncalibrated logits, shape (prompts, profiles)."""
    model.eval()
    capabilities = side(profiles)
    logits = np.zeros((len(ids), len(profiles)), dtype=np.float32)
    order = np.argsort([len(row) for row in ids])
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        batch = pad([ids[index] for index in chosen], model.config.phi_config.pad_token_id or 0)
        logits[chosen] = model(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask), capabilities)
    return logits


def mean_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over models of the AUC of predicted success."""
    values = []
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        truth = labels[known, column] > 0.5
        if 0 < truth.sum() < len(truth):
            values.append(roc_auc_score(truth, scores[known, column]))
    return float(np.mean(values))


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and shift that maximise the likelihood of validation outcomes."""
    known = ~np.isnan(labels)
    x, y = torch.from_numpy(logits[known]).double(), torch.from_numpy((labels[known] > 0.5).astype(float))
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(parameters[0] * x + parameters[1], y)
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(parameters[0]), float(parameters[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, default=Path("runs/nano"))
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-4, help="learning rate of phi")
    parser.add_argument("--lr-new", type=float, default=6e-4, help="learning rate of psi's pooling, W and the head")
    parser.add_argument("--contrast", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="stop early, for a trial")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)

    table = oc.load(arguments.data)
    bank = oc.ProfileBank(table, arguments.data)
    sampler = ProfileSampler(bank, arguments.seed)
    model, raw = build_model(arguments.base)
    model.phi.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = InstructionTokenizer(raw, model.config.max_instruction_tokens, model.config.head_share)
    side = CapabilitySide(model, tokenizer)
    described = sorted({CapabilityStatement(**row).description for m in table.models for row in bank.benchmarks(m)} | {CapabilityStatement(task=t, accuracy=0.5).description for t in {*bank.core_tasks, *table.items.task[table.items.dataset == "mmlu_pro"]}})
    side.refresh(described)

    ids = tokenizer.ids(table.items.prompt.tolist())
    lengths = np.array([len(row) for row in ids])
    seen = np.array([m not in oc.UNSEEN_MODELS for m in table.models])
    pools = {}
    for group, (datasets, _, share) in GROUPS.items():
        rows = table.rows(datasets, "train")
        columns = [c for c in table.columns(rows, 0.05) if seen[c] and (bank.benchmarks(table.models[c]) or bank.has_core(table.models[c]))]
        pools[group] = (rows, np.array(columns), share)
        print(group, len(rows), "prompts", len(columns), "models", flush=True)

    def epoch_batches() -> list[tuple[str, np.ndarray]]:
        plan = [(g, b) for g, (rows, _, share) in pools.items() for b in batches(rng.permutation(rows)[: int(len(rows) * share)], lengths, arguments.batch, rng)]
        return [plan[index] for index in rng.permutation(len(plan))]

    new = [p for n, p in model.named_parameters() if not n.startswith("phi.")]
    old = [p for n, p in model.named_parameters() if n.startswith("phi.") and p.requires_grad]
    optimiser = torch.optim.AdamW([{"params": old, "lr": arguments.lr}, {"params": new, "lr": arguments.lr_new}], weight_decay=0.01)
    per_epoch = len(epoch_batches())
    total = arguments.steps or int(per_epoch * arguments.epochs)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min(1.0, (s + 1) / (0.06 * total)) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, s / total)))))
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    average_side = CapabilitySide(average.module, tokenizer)

    validation = table.rows("mmlu_pro", "validation")
    logic = table.rows(("gsm8k", "math_l5", "crux"), "validation")

    def validate(step: int) -> float:
        average_side.refresh(described)
        report: dict[str, float] = {"step": step}
        for name, rows in (("mmlu_pro", validation), ("zeroeval", logic)):
            columns = table.columns(rows, 0.05)
            profiles = [bank.profile(table.models[c]) for c in columns]
            logits = predict(average.module, average_side, profiles, [ids[r] for r in rows])
            labels = table.scores[np.ix_(rows, columns)]
            known = seen[columns]
            for kind, mask in (("seen", known), ("unseen", ~known)):
                report[f"{name}_{kind}_auc"] = mean_auc(logits[:, mask], labels[:, mask])
                p = 1 / (1 + np.exp(-logits[:, mask]))
                report[f"{name}_{kind}_brier"] = float(np.nanmean((p - labels[:, mask]) ** 2))
            report[f"{name}_routed"] = float(np.nanmean(labels[np.arange(len(rows)), logits.argmax(1)]))
            report[f"{name}_best_single"] = float(np.nanmean(labels, axis=0).max())
        print(json.dumps({k: round(v, 4) for k, v in report.items()}), flush=True)
        with (arguments.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(report) + "\n")
        return -report["mmlu_pro_seen_brier"] - report["mmlu_pro_unseen_brier"] - 0.5 * report["zeroeval_seen_brier"]

    best, step, began = -math.inf, 0, time.time()
    running: list[float] = []
    while step < total:
        for group, rows in epoch_batches():
            model.train()
            if step % 60 == 0:
                side.refresh(described)
            columns = rng.permutation(pools[group][1])[: GROUPS[group][1]]
            batch = pad([ids[r] for r in rows], 0)
            capabilities = side([sampler(table.models[c]) for c in columns])
            logits = model(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask), capabilities)
            loss = objective(logits, torch.from_numpy(table.scores[np.ix_(rows, columns)]), arguments.contrast)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(model)
            running.append(loss.item())
            step += 1
            if step % 20 == 0:
                print(f"{step}/{total} loss {np.mean(running[-20:]):.4f} {(time.time() - began) / step:.2f} s/step", flush=True)
            if step % max(per_epoch // 2, 1) == 0 or step == total:
                value = validate(step)
                if value > best:
                    best = value
                    average.module.save_pretrained(arguments.output / "best")
                    raw.save(str(arguments.output / "best" / "tokenizer.json"))
            if step >= total:
                break

    model = ModelSATModel.from_pretrained(arguments.output / "best")
    side = CapabilitySide(model, tokenizer)
    side.refresh(described)
    logits, labels = [], []
    for rows in (validation, logic):
        columns = [c for c in table.columns(rows, 0.05) if seen[c]]
        logits.append(predict(model, side, [bank.profile(table.models[c]) for c in columns], [ids[r] for r in rows]).ravel())
        labels.append(table.scores[np.ix_(rows, columns)].ravel())
    model.config.scale, model.config.shift = fit_calibration(np.concatenate(logits), np.concatenate(labels))
    print("calibration", model.config.scale, model.config.shift)
    model.save_pretrained(arguments.output / "best")


if __name__ == "__main__":
    main()
