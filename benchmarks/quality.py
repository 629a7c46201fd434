"""Quality of a checkpoint beside every simple way of routing, on prompts whose question text was never trained on.

    python benchmarks/quality.py [--weights modelsat-nano] [--base DIR_OF_ALL_MINILM_L6_V2] [--output results.json]

Three settings, each apart: models seen in training on new prompts; models left out of training, known by their
profile only (their rows of kNN and MLP are given all their training outcomes: a ceiling, not a competitor); data sets
that never trained. The network runs as users run it, on ONNX Runtime. Baselines read frozen all-MiniLM-L6-v2 sentence
embeddings.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPRegressor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc

from modelsat.capability import CapabilityProfile
from modelsat.scoring import Scorer, load_scorer

SEEDS = 5
NEIGHBOURS = (10, 20, 50, 100, 200, 400)


def embed(base: Path, prompts: list[str], cache: Path) -> np.ndarray:
    """Frozen, normalised all-MiniLM-L6-v2 sentence embeddings, cached in one file."""
    if cache.is_file():
        stored = np.load(cache)
        if len(stored) == len(prompts):
            return stored
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    from modelsat.network.encoder import mean_pool

    model = AutoModel.from_pretrained(base).eval()
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    order = np.argsort([len(prompt) for prompt in prompts])
    result = np.zeros((len(prompts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for chunk in track(np.array_split(order, max(1, len(order) // 64)), "embedding prompts for the baselines"):
            encoded = tokenizer.encode_batch([prompts[i] for i in chunk])
            ids = torch.tensor([e.ids for e in encoded])
            mask = torch.tensor([e.attention_mask for e in encoded])
            result[chunk] = mean_pool(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask).numpy()
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.save(cache, result)
    return result


def network(scorer: Scorer, profiles: list[CapabilityProfile], prompts: list[str]) -> np.ndarray:
    """P(success) of the checkpoint, shape (prompts, profiles)."""
    capabilities = scorer.encode_profiles(profiles)
    chunks = [prompts[start : start + 256] for start in range(0, len(prompts), 256)]
    return np.concatenate([scorer.score(chunk, capabilities) for chunk in track(chunks, "scoring")])


def knn(x: np.ndarray, y: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Mean outcome of the k nearest training prompts by cosine, by model, NaN-aware and shrunk by one pseudo-count."""
    mean = np.nanmean(y, axis=0)
    result = np.empty((len(queries), y.shape[1]), dtype=np.float32)
    for start in range(0, len(queries), 512):
        near = np.argpartition(-(queries[start : start + 512] @ x.T), k, axis=1)[:, :k]
        found = y[near]
        known = ~np.isnan(found)
        result[start : start + 512] = (np.where(known, found, 0).sum(1) + mean) / (known.sum(1) + 1)
    return result


def tuned_knn(
    x: np.ndarray, y: np.ndarray, validation: tuple[np.ndarray, np.ndarray], queries: np.ndarray
) -> np.ndarray:
    """kNN with k chosen by Brier score on validation prompts."""
    best = min((k for k in NEIGHBOURS if k < len(x)), key=lambda k: brier(knn(x, y, validation[0], k), validation[1]))
    return knn(x, y, queries, best)


def mlp(x: np.ndarray, y: np.ndarray, queries: np.ndarray, seed: int) -> np.ndarray:
    """One hidden layer on the embedding, all models' outcomes as outputs (missing ones take the model's mean)."""
    filled = np.where(np.isnan(y), np.nanmean(y, axis=0), y)
    model = MLPRegressor(hidden_layer_sizes=(256,), alpha=1e-3, early_stopping=True, max_iter=60, random_state=seed)
    return np.clip(model.fit(x, filled).predict(queries), 0, 1)


def logistic(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """One logistic regression a model."""
    result = np.empty((len(queries), y.shape[1]), dtype=np.float32)
    for column in range(y.shape[1]):
        known = ~np.isnan(y[:, column])
        truth = y[known, column] > 0.5
        if truth.all() or not truth.any():
            result[:, column] = truth.mean()
        else:
            result[:, column] = (
                LogisticRegression(C=1.0, max_iter=300).fit(x[known], truth).predict_proba(queries)[:, 1]
            )
    return result


def brier(p: np.ndarray, y: np.ndarray) -> float:
    """Mean squared error of the probabilities."""
    return float(np.nanmean((p - y) ** 2))


def ece(p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over equally filled bins."""
    known = ~np.isnan(y)
    p, y = p[known], y[known]
    groups = np.array_split(np.argsort(p), bins)
    return float(sum(len(g) * abs(p[g].mean() - y[g].mean()) for g in groups) / len(p))


def auc(p: np.ndarray, y: np.ndarray) -> float:
    """Mean over models of the area under the ROC curve of predicted success."""
    values = []
    for column in range(y.shape[1]):
        known = ~np.isnan(y[:, column])
        truth = y[known, column] > 0.5
        if 0 < truth.sum() < len(truth):
            values.append(roc_auc_score(truth, p[known, column]))
    return float(np.mean(values)) if values else float("nan")


def routed(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Outcome of the best-scored model with an outcome, by prompt (ties to the first)."""
    return y[np.arange(len(y)), np.where(np.isnan(y), -1, p).argmax(1)]


def difference(a: np.ndarray, b: np.ndarray, seed: int = 0) -> list[float]:
    """Mean of a - b with a paired bootstrap interval of 95 %."""
    rng = np.random.default_rng(seed)
    d = a - b
    means = [d[rng.integers(0, len(d), len(d))].mean() for _ in range(2000)]
    return [float(d.mean()), float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))]


class Setting:
    """One setting: test prompts, models, and what the baselines may learn from."""

    def __init__(
        self,
        name: str,
        bank: oc.ProfileBank,
        test: np.ndarray,
        columns: np.ndarray,
        train: np.ndarray,
        validation: np.ndarray,
    ) -> None:
        self.name, self.table, self.test, self.columns = name, bank.outcomes, test, columns
        self.train, self.validation = train, validation
        table = bank.outcomes
        models = [table.models[column] for column in columns]
        dataset = table.items.dataset.iloc[test[0]]
        self.profiles = [bank.profile(m) if len(train) else bank.elsewhere(m, dataset) for m in models]
        self.y = table.scores[np.ix_(test, columns)]
        keep = ~np.isnan(self.y).all(axis=1)
        self.test, self.y = self.test[keep], self.y[keep]

    def rows(self, ours: np.ndarray, embeddings: np.ndarray) -> dict[str, dict[str, object]]:
        """Every row of the table."""
        y, tasks = self.y, self.table.items.task.to_numpy()
        y_train = self.table.scores[np.ix_(self.train, self.columns)]
        choices: dict[str, list[np.ndarray]] = {}
        probabilities: dict[str, list[np.ndarray]] = {"modelsat-nano": [ours]}
        choices["random"] = [np.nanmean(y, axis=1)]
        if len(self.train):
            means = np.nanmean(y_train, axis=0)
            choices["best single"] = [routed(np.tile(means, (len(y), 1)), y)]
            by_task = np.stack([self._task_means(t, y_train, tasks, means) for t in tasks[self.test]])
            choices["per-task best"] = [routed(by_task, y)]
            x, queries = embeddings[self.train], embeddings[self.test]
            held = (embeddings[self.validation], self.table.scores[np.ix_(self.validation, self.columns)])
            probabilities["kNN"] = [tuned_knn(x, y_train, held, queries)]
            probabilities["logistic"] = [logistic(x, y_train, queries)]
            probabilities["MLP"] = [mlp(x, y_train, queries, seed) for seed in range(SEEDS)]
        else:
            means = np.nanmean(y, axis=0)
            choices["best single (hindsight)"] = [routed(np.tile(means, (len(y), 1)), y)]
        choices["oracle"] = [np.nanmax(y, axis=1)]
        result: dict[str, dict[str, object]] = {}
        for name in (
            "random",
            "best single",
            "best single (hindsight)",
            "per-task best",
            "oracle",
            "kNN",
            "logistic",
            "MLP",
            "modelsat-nano",
        ):
            if name in choices:
                result[name] = {"accuracy": float(choices[name][0].mean())}
            elif name in probabilities:
                runs = probabilities[name]
                accuracy = [float(routed(p, y).mean()) for p in runs]
                result[name] = {
                    "accuracy": float(np.mean(accuracy)),
                    "auc": float(np.mean([auc(p, y) for p in runs])),
                    "brier": float(np.mean([brier(p, y) for p in runs])),
                    "ece": float(np.mean([ece(p, y) for p in runs])),
                }
                if len(runs) > 1:
                    result[name]["accuracy_sd"] = float(np.std(accuracy))
        single = choices.get("best single", choices.get("best single (hindsight)"))[0]
        mine = routed(ours, y)
        result["modelsat-nano"]["minus_best_single"] = difference(mine, single)
        result["modelsat-nano"]["minus_random"] = difference(mine, choices["random"][0])
        if "kNN" in probabilities:
            result["modelsat-nano"]["minus_knn"] = difference(mine, routed(probabilities["kNN"][0], y))
        return result

    def _task_means(self, task: str, y: np.ndarray, tasks: np.ndarray, means: np.ndarray) -> np.ndarray:
        rows = y[tasks[self.train] == task]
        return (np.nansum(rows, axis=0) + 5 * means) / ((~np.isnan(rows)).sum(axis=0) + 5)


def settings(table: oc.Outcomes, bank: oc.ProfileBank) -> list[Setting]:
    """All settings that are measured."""
    unseen = np.array([model in oc.UNSEEN_MODELS for model in table.models])
    found, none = [], np.array([], dtype=int)
    for name in ("mmlu_pro", "gsm8k", "math_l5", "crux", "mmlu_routellm"):
        test, train, validation = (table.rows(name, split) for split in ("test", "train", "validation"))
        columns = np.array(
            [c for c in table.columns(train, 0.8) if bank.benchmarks(table.models[c]) or bank.has_core(table.models[c])]
        )
        if name == "mmlu_pro":
            train = np.union1d(train, np.flatnonzero(table.items.core.to_numpy()))
        found.append(Setting(f"{name}, seen models", bank, test, columns[~unseen[columns]], train, validation))
        if unseen[columns].sum() > 1:
            found.append(Setting(f"{name}, unseen models", bank, test, columns[unseen[columns]], train, validation))
            found.append(Setting(f"{name}, all models", bank, test, columns, train, validation))
    for name in ("rdc_mmlu", "rdc_cmmlu"):
        test = table.rows(name, "test")
        found.append(Setting(f"{name}, data set unseen", bank, test, table.columns(test, 0.8), none, none))
    return found


def show(console: Console, setting: Setting, rows: dict[str, dict[str, object]]) -> None:
    table = Table(
        title=f"{setting.name}: {len(setting.test)} prompts, {len(setting.columns)} models", title_justify="left"
    )
    for column in ("router", "accuracy", "AUC", "Brier", "ECE"):
        table.add_column(column, justify="left" if column == "router" else "right")
    for name, row in rows.items():
        spread = f" ± {row['accuracy_sd']:.4f}" if "accuracy_sd" in row else ""
        cells = [
            f"{row['accuracy']:.4f}{spread}",
            *(f"{row[key]:.4f}" if key in row else "" for key in ("auc", "brier", "ece")),
        ]
        table.add_row(name, *cells, style="bold" if name.startswith("modelsat") else "")
    console.print(table)
    for key, (mean, low, high) in ((k, v) for k, v in rows["modelsat-nano"].items() if k.startswith("minus_")):
        other = key.removeprefix("minus_").replace("_", " ")
        console.print(f"  modelsat-nano minus {other}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--backend", default="onnx", choices=("onnx", "torch"))
    parser.add_argument(
        "--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2, for the baselines' embeddings"
    )
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    console = Console()
    table = oc.load(arguments.data)
    bank = oc.ProfileBank(table, arguments.data)
    measured = settings(table, bank)
    needed = np.unique(np.concatenate([np.concatenate([s.test, s.train, s.validation]) for s in measured]))
    prompts = table.items.prompt.to_numpy()
    embeddings = np.zeros((len(prompts), 384), dtype=np.float32)
    embeddings[needed] = embed(arguments.base, prompts[needed].tolist(), Path("runs/minilm-embeddings.npy"))
    scorer = load_scorer(arguments.weights, arguments.backend)
    results: dict[str, object] = {"weights": scorer.version}
    for setting in measured:
        ours = network(scorer, setting.profiles, prompts[setting.test].tolist())
        rows = setting.rows(ours, embeddings)
        results[setting.name] = {"prompts": len(setting.test), "models": len(setting.columns), "rows": rows}
        show(console, setting, rows)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
