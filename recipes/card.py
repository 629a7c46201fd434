"""The model card of a checkpoint, written from its ``results.json``; ``benchmarks/quality.py`` measures the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import outcomes as oc

HEAD = """---
license: apache-2.0
library_name: modelsat
tags: [llm-routing, model-selection, onnx]
---

# modelsat-nano

Predicts, before any model runs, the probability that a chat model will answer a request well. A model is described by
a capability profile (accuracies on named tasks); the network reads the request once and scores every candidate in the
same pass, on a CPU.

* **Network.** {layers} transformer layers of width {width}, started from all-MiniLM-L6-v2 (Apache-2.0). The
  capability encoder psi shares them for the words of a statement, adds its numbers, and pools; a linear connector W
  hands the result to phi as one position, followed by one inquiry position; a two-way head reads P(success). Method:
  Model-SAT (arXiv 2502.17282), with the instruction first so that it is read once for all candidates.
* **Files.** `model.onnx` and `psi.onnx` (ONNX Runtime, what `pip install modelsat` brings), `model.safetensors`
  (float16, the torch backend), `capabilities.safetensors` (embeddings of the registry), `tokenizer.json`,
  `config.json`, `MANIFEST.json` (SHA-256 sums, checked before use).
* **Instruction budget.** {tokens} tokens; longer prompts keep their head and their tail.

## Training data

Logged outcomes under Apache-2.0 only: TIGER-AI-Lab/MMLU-Pro `eval_results`, WildEval/ZeroEval (GSM8K, MATH level 5,
CRUXEval-O) and lm-sys/RouteLLM (MMLU, GSM8K), with published benchmark figures as further capability statements.
Questions are split by their text: 15 % test, 7 % validation, the rest trains. The core items that profiles are made
of train nothing. These models were left out of training altogether: {unseen}.

Recipe: `recipes/train_nano.py` with its defaults, then `recipes/package_nano.py`. One training run (seed 0); the
checkpoint with the best validation Brier score was kept and calibrated (scale and shift of the logit) on the same
validation prompts.

## Results

Held-out questions, measured by `python benchmarks/quality.py` on the exported network ({version}). Accuracy is that
of the routed answers with policy `best`; AUC is the mean over models; MLP rows are means of five seeds (± standard
deviation of accuracy); intervals are 95 % paired bootstrap over prompts. kNN, logistic and MLP read frozen
all-MiniLM-L6-v2 embeddings and, for unseen models, are given all their training outcomes, which the network never
saw: there they are a ceiling, not competitors.
"""

TAIL = """
## Limits

* One run: there is no spread over training seeds yet. The intervals cover the choice of test prompts only.
* The logs hold few models above the level of gemini-1.5-flash on MMLU-Pro, and English exam-like, school-mathematics
  and code-reading prompts. Open-ended writing, long agent sessions and other languages are extrapolation.
* Figures of different benchmarks are placed on one ability scale by a one-factor fit: a profile of contest figures
  alone says little about breadth, and a model strong in mathematics only can be over-rated elsewhere.
* Very low and very high figures on few items carry little weight by construction.
"""


def write_card(folder: Path) -> None:
    """Write ``README.md`` into a checkpoint folder."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    parts = [
        HEAD.format(
            layers=config["phi_config"]["num_hidden_layers"],
            width=config["phi_config"]["hidden_size"],
            tokens=config["max_instruction_tokens"],
            unseen=", ".join(oc.UNSEEN_MODELS),
            version=results["weights"],
        )
    ]
    for name, setting in results.items():
        if name != "weights":
            parts.append(_table(name, setting))
    (folder / "README.md").write_text("\n".join(parts) + TAIL, "utf-8")


def _table(name: str, setting: dict[str, dict[str, dict[str, object]]]) -> str:
    lines = [
        f"### {name}: {setting['prompts']} prompts, {setting['models']} models\n",
        "| router | accuracy | AUC | Brier | ECE |",
        "|---|--:|--:|--:|--:|",
    ]
    for router, row in setting["rows"].items():
        spread = f" ± {row['accuracy_sd']:.3f}" if "accuracy_sd" in row else ""
        cells = " | ".join(f"{row[key]:.3f}" if key in row else "" for key in ("auc", "brier", "ece"))
        lines.append(f"| {router} | {row['accuracy']:.3f}{spread} | {cells} |")
    differences = [
        f"minus {key.removeprefix('minus_').replace('_', ' ')} {mean:+.3f} [{low:+.3f}, {high:+.3f}]"
        for key, value in setting["rows"]["modelsat-nano"].items()
        if key.startswith("minus_")
        for mean, low, high in [value]
    ]
    return "\n".join([*lines, "", "modelsat-nano " + "; ".join(differences) + "."]) + "\n"
