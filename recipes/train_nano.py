"""Train modelsat-nano: capability instruction tuning on logged outcomes, both directions of supervision.

    python recipes/train_nano.py --base DIR_OF_ALL_MINILM_L6_V2 --output runs/nano

Every step shows one batch of prompts of one group of data sets and a sample of models, each with a freshly drawn
profile (any number of statements, in any order, on 5 to 20 items each, or benchmark figures). The loss has three
terms: Bernoulli likelihood of all outcomes; loss 5 of the paper (for a model, an instruction it did well against
those it did badly); and the same the other way round (for an instruction, a model that did well against those that
did not). The last checkpoint chosen on validation is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import outcomes as oc
import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from modelsat.capability import CapabilityProfile, CapabilityStatement
from modelsat.capability.ability import statement_features
from modelsat.network.config import ModelSATConfig
from modelsat.network.instruction import InstructionTokenizer, pad
from modelsat.network.model import ModelSATModel
from modelsat.storage.checkpoint import sha256

GROUPS: dict[str, tuple[tuple[str, ...], int, float]] = {
    "mmlu_pro": (("mmlu_pro",), 10, 1.0),
    "zeroeval": (("gsm8k", "math_l5", "crux"), 10, 1.0),
    "routellm": (("mmlu_routellm", "gsm8k_routellm"), 2, 0.25),
}
"""Data sets, models a step, and share of the prompts seen in an epoch."""


def build_model(base: Path) -> tuple[ModelSATModel, Tokenizer]:
    """A network on the sentence encoder in ``base``, psi sharing phi's weights, with a one-token inquiry prompt."""
    phi = AutoConfig.from_pretrained(base, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    inquiry = tokenizer.encode("[MASK]", add_special_tokens=False).ids
    model = ModelSATModel(ModelSATConfig(phi_config=phi, inquiry_prompt="[MASK]", inquiry_ids=inquiry))
    model.phi.load_state_dict(AutoModel.from_pretrained(base, add_pooling_layer=False).state_dict())
    nn.init.zeros_(model.head[2].bias)
    nn.init.normal_(model.head[2].weight, std=0.02)
    return model, tokenizer


class CapabilitySide:
    """Profiles to capability embeddings; text embeddings are recomputed now and then, without gradient."""

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
        return CapabilityProfile.model_construct(
            model=model,
            statements=tuple(
                CapabilityStatement.model_construct(**{**row, "source": "", "description": _description(row)})
                for row in rows
            ),
        )


def _description(row: dict[str, object]) -> str:
    return CapabilityStatement(**row).description


def contrast(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss 5: each positive of a column against its negatives; NaN labels take no part. Both (batch, models)."""
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
def predict(
    model: ModelSATModel, side: CapabilitySide, profiles: list[CapabilityProfile], ids: list[list[int]], size: int = 64
) -> np.ndarray:
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


class Corpus:
    """Prompts as tokens, the models that train and those left out, and the batches of an epoch."""

    def __init__(self, data: Path, tokenizer: InstructionTokenizer) -> None:
        self.table = oc.load(data)
        self.bank = oc.ProfileBank(self.table, data)
        self.ids = tokenizer.ids(self.table.items.prompt.tolist())
        self.lengths = np.array([len(row) for row in self.ids])
        self.seen = np.array([model not in oc.UNSEEN_MODELS for model in self.table.models])
        self.pools: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for group, (datasets, _, _) in GROUPS.items():
            rows = self.table.rows(datasets, "train")
            self.pools[group] = (rows, np.array([c for c in self.table.columns(rows, 0.05) if self._trains(c)]))
            print(group, len(rows), "prompts", len(self.pools[group][1]), "models", flush=True)

    def _trains(self, column: int) -> bool:
        model = self.table.models[column]
        return bool(self.seen[column] and (self.bank.benchmarks(model) or self.bank.has_core(model)))

    @property
    def descriptions(self) -> list[str]:
        """Every task description that a profile may hold."""
        figures = {CapabilityStatement(**row).description for m in self.table.models for row in self.bank.benchmarks(m)}
        tasks = {*self.bank.core_tasks, *self.table.items.task[self.table.items.dataset == "mmlu_pro"]}
        return sorted(figures | {CapabilityStatement(task=task, accuracy=0.5).description for task in tasks})

    def epoch(self, size: int, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
        """(group, rows) of every batch of one epoch, in random order."""
        plan = []
        for group, (rows, _) in self.pools.items():
            chosen = rng.permutation(rows)[: int(len(rows) * GROUPS[group][2])]
            plan += [(group, batch) for batch in batches(chosen, self.lengths, size, rng)]
        return [plan[index] for index in rng.permutation(len(plan))]


def validate(model: ModelSATModel, side: CapabilitySide, corpus: Corpus) -> dict[str, float]:
    """AUC and Brier score on validation prompts, for models that trained and models left out, and routed accuracy."""
    report: dict[str, float] = {}
    table = corpus.table
    for name, datasets in (("mmlu_pro", ("mmlu_pro",)), ("zeroeval", ("gsm8k", "math_l5", "crux"))):
        rows = table.rows(datasets, "validation")
        columns = table.columns(rows, 0.05)
        profiles = [corpus.bank.profile(table.models[c]) for c in columns]
        logits = predict(model, side, profiles, [corpus.ids[r] for r in rows])
        labels = table.scores[np.ix_(rows, columns)]
        for kind, mask in (("seen", corpus.seen[columns]), ("unseen", ~corpus.seen[columns])):
            report[f"{name}_{kind}_auc"] = mean_auc(logits[:, mask], labels[:, mask])
            p = 1 / (1 + np.exp(-logits[:, mask]))
            report[f"{name}_{kind}_brier"] = float(np.nanmean((p - labels[:, mask]) ** 2))
        chosen = np.where(np.isnan(labels), -np.inf, logits).argmax(1)
        report[f"{name}_routed"] = float(labels[np.arange(len(rows)), chosen].mean())
    return report


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, default=Path("runs/nano"))
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-4, help="learning rate of phi")
    parser.add_argument("--lr-new", type=float, default=6e-4, help="learning rate of psi's pooling, W and the head")
    parser.add_argument("--contrast", type=float, default=0.1, help="weight of the contrastive terms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="stop early, for a trial")
    return parser.parse_args()


def optimisation(
    model: ModelSATModel, arguments: argparse.Namespace, total: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a larger learning rate for what is new, warm-up and cosine decay; the embedding table is frozen."""
    model.phi.get_input_embeddings().weight.requires_grad_(False)
    new = [p for n, p in model.named_parameters() if not n.startswith("phi.")]
    old = [p for n, p in model.named_parameters() if n.startswith("phi.") and p.requires_grad]
    groups = [{"params": old, "lr": arguments.lr}, {"params": new, "lr": arguments.lr_new}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)

    def rate(step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        return min(1.0, (step + 1) / (0.06 * total)) * (0.02 + 0.98 * cosine)

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def describe(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a checkpoint says of its making: script, settings, starting point, and validation as it went."""
    settings = {k: v for k, v in vars(arguments).items() if k not in ("base", "data", "output")}
    return {
        "script": "recipes/train_nano.py",
        "arguments": settings,
        "base": "all-MiniLM-L6-v2",
        "base_sha256": sha256(arguments.base / "model.safetensors"),
        "models_left_out": list(oc.UNSEEN_MODELS),
        "validation": [],
    }


def train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    model, raw = build_model(arguments.base)
    tokenizer = InstructionTokenizer(raw, model.config.max_instruction_tokens, model.config.head_share)
    corpus = Corpus(arguments.data, tokenizer)
    sampler = ProfileSampler(corpus.bank, arguments.seed)
    side = CapabilitySide(model, tokenizer)
    per_epoch = len(corpus.epoch(arguments.batch, rng))
    total = arguments.steps or int(per_epoch * arguments.epochs)
    optimiser, schedule = optimisation(model, arguments, total)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    average_side = CapabilitySide(average.module, tokenizer)
    plan: list[tuple[str, np.ndarray]] = []
    losses: list[float] = []
    best, began = -math.inf, time.time()
    recipe = describe(arguments)
    for step in range(1, total + 1):
        plan = plan or corpus.epoch(arguments.batch, rng)
        group, rows = plan.pop()
        if step % 60 == 1:
            side.refresh(corpus.descriptions)
        model.train()
        columns = rng.permutation(corpus.pools[group][1])[: GROUPS[group][1]]
        batch = pad([corpus.ids[r] for r in rows], 0)
        capabilities = side([sampler(corpus.table.models[c]) for c in columns])
        logits = model(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask), capabilities)
        loss = objective(logits, torch.from_numpy(corpus.table.scores[np.ix_(rows, columns)]), arguments.contrast)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(model)
        losses.append(loss.item())
        if step % 20 == 0:
            pace = (time.time() - began) / step
            print(f"{step}/{total} loss {np.mean(losses[-20:]):.4f} {pace:.2f} s/step", flush=True)
        if step % max(per_epoch // 2, 1) == 0 or step == total:
            average_side.refresh(corpus.descriptions)
            report = {"step": step, **validate(average.module, average_side, corpus)}
            print(json.dumps(report), flush=True)
            recipe["validation"].append(report)
            value = -report["mmlu_pro_seen_brier"] - report["mmlu_pro_unseen_brier"] - report["zeroeval_seen_brier"] / 2
            if value > best:
                best, recipe["kept_step"] = value, step
                average.module.save_pretrained(arguments.output / "best")
                raw.save(str(arguments.output / "best" / "tokenizer.json"))
            (arguments.output / "best" / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", "utf-8")


def main() -> None:
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    train(arguments)


if __name__ == "__main__":
    main()
