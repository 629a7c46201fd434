"""Turn a training run into the checkpoint that ships: calibrate, store in float16, export to ONNX, encode the
registry, list the files.

    python recipes/package_nano.py runs/nano/best --output weights/modelsat-nano
    python benchmarks/quality.py --base DIR_OF_ALL_MINILM_L6_V2 --output weights/modelsat-nano/results.json
    python recipes/package_nano.py --card weights/modelsat-nano

The last command writes the model card from ``results.json`` and renews the manifest.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import outcomes as oc
import torch
from safetensors.torch import load_file

from modelsat.capability.registry import Registry
from modelsat.network.config import ModelSATConfig
from modelsat.network.export import export_onnx
from modelsat.network.model import ModelSATModel
from modelsat.scoring import load_scorer
from modelsat.scoring.batched import CAPABILITIES_FILE, save_capabilities
from modelsat.scoring.onnx import ONNXScorer
from modelsat.storage.checkpoint import write_manifest

ZEROEVAL = ("gsm8k", "math_l5", "crux")


def fit_calibration(p: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and shift of the logit that maximise the likelihood of validation outcomes."""
    known = ~np.isnan(labels)
    x = torch.logit(torch.from_numpy(p[known]).double(), eps=1e-6)
    y = torch.from_numpy((labels[known] > 0.5).astype(float))
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(parameters[0] * x + parameters[1], y)
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(parameters[0].detach()), float(parameters[1].detach())


def calibrate(folder: Path, data: Path) -> tuple[float, float]:
    """Fit the calibration on validation prompts and the models seen in training, with the exported network."""
    table = oc.load(data)
    bank = oc.ProfileBank(table, data)
    scorer = load_scorer(folder)
    prompts = table.items.prompt.to_numpy()
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for datasets in (("mmlu_pro",), ZEROEVAL):
        rows = table.rows(datasets, "validation")
        columns = [c for c in table.columns(rows, 0.05) if table.models[c] not in oc.UNSEEN_MODELS]
        capabilities = scorer.encode_profiles([bank.profile(table.models[c]) for c in columns])
        scores = scorer.score(prompts[rows].tolist(), capabilities)
        found.append((scores.ravel(), table.scores[np.ix_(rows, columns)].ravel()))
    return fit_calibration(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def package(run: Path, folder: Path, data: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    model = ModelSATModel(ModelSATConfig.from_pretrained(run))
    model.load_state_dict(load_file(run / "model.safetensors"))
    model = model.half().float().eval()  # the numbers that are stored are the numbers that run
    for name in ("tokenizer.json", "recipe.json"):
        shutil.copy(run / name, folder / name)
    model.config.scale, model.config.shift = 1.0, 0.0
    write(model, folder)
    model.config.scale, model.config.shift = calibrate(folder, data)
    print(f"calibration: scale {model.config.scale:.4f}, shift {model.config.shift:+.4f}")
    write(model, folder)
    scorer = load_scorer(folder)
    assert isinstance(scorer, ONNXScorer)
    save_capabilities(scorer, list(Registry.default()), folder / CAPABILITIES_FILE)
    write_manifest(folder)


def write(model: ModelSATModel, folder: Path) -> None:
    """The checkpoint in float16 and its export, with a manifest."""
    export_onnx(model.float(), folder)
    model.half().save_pretrained(folder)
    write_manifest(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="folder of the training run's best checkpoint")
    parser.add_argument("--output", type=Path, default=Path("weights/modelsat-nano"))
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--card", type=Path, help="only write the card and the manifest of this checkpoint")
    arguments = parser.parse_args()
    if arguments.card:
        from card import write_card

        write_card(arguments.card)
        write_manifest(arguments.card)
    elif arguments.run:
        package(arguments.run, arguments.output, arguments.data)
    else:
        parser.error("give a run to package, or --card")


if __name__ == "__main__":
    main()
