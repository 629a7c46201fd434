"""Turn a training run into a checkpoint that ships: export to ONNX, encode the registry, list the files.

    modelsat train recipes/modelsat-nano.yaml --output runs/nano
    python recipes/package.py runs/nano/checkpoint --eight-bits $MODELSAT_DATA/items.parquet
    python benchmarks/agreement.py --router weights/modelsat-nano
    python benchmarks/quality.py --embeddings DIR_OF_ALL_MINILM_L6_V2 --output runs/quality
    python recipes/package.py --results runs/quality/metrics.json --output weights/modelsat-nano

A run with ``adapter_of`` ships adapters without an export; MODELSAT_BASE names a folder of its base:

    python recipes/package.py runs/mini/checkpoint --output weights/modelsat-mini

After a change of the task catalogue the registry's embeddings are encoded anew; the version stays:

    python recipes/package.py --renew --output weights/modelsat-nano

``--eight-bits`` computes the encoder's linear layers in eight bits, fitted to training prompts of that table; without
it they are float32. ``--results`` adds the test results to the model card and renews the manifest.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from card import add_results
from eight_bits import eight_bit_layers
from fields import save_fields
from safetensors.torch import load_file

from modelsat.capability.registry import Registry
from modelsat.inference import load_scorer
from modelsat.inference.local import CAPABILITIES_FILE, BatchedScorer, ONNXScorer, save_capabilities
from modelsat.network.config import ModelSATConfig
from modelsat.network.export import export_onnx
from modelsat.network.model import ModelSATModel
from modelsat.storage.base import ADAPTER_FILE, BASE_FILE
from modelsat.storage.checkpoint import open_checkpoint, write_manifest

COPIED = ("config.json", "tokenizer.json", "recipe.json", "README.md")


def package(run: Path, folder: Path, items: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    adapters = (run / ADAPTER_FILE).is_file()
    for name in (*COPIED, *((ADAPTER_FILE, BASE_FILE) if adapters else ("model.safetensors",))):
        shutil.copy(run / name, folder / name)
    if not adapters:
        export(run, folder, items)
    elif items:
        raise SystemExit("--eight-bits is for a whole network: adapters are exported in float32 at first use")
    write_manifest(folder)
    scorer = load_scorer(folder)
    if not isinstance(scorer, ONNXScorer):
        raise SystemExit(f"{folder} did not load on ONNX Runtime")
    save_fields(scorer, folder)
    encode_registry(scorer, folder)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    config = ModelSATConfig.from_pretrained(folder)
    print(f"{open_checkpoint(folder).version}: {size:.1f} MB, scale {config.scale:.4f}, shift {config.shift:+.4f}")


def encode_registry(scorer: BatchedScorer, folder: Path) -> None:
    save_capabilities(scorer, list(Registry.shipped()), folder / CAPABILITIES_FILE)
    write_manifest(folder)


def export(run: Path, folder: Path, items: Path | None) -> None:
    model = ModelSATModel(ModelSATConfig.from_pretrained(run))
    model.load_state_dict(load_file(run / "model.safetensors"))
    layers = eight_bit_layers(run, model.float().eval(), items) if items else {}
    export_onnx(model, folder, layers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="folder of the training run's checkpoint")
    parser.add_argument("--output", type=Path, default=Path("weights/modelsat-nano"))
    parser.add_argument(
        "--eight-bits", type=Path, metavar="ITEMS", help="items whose prompts eight-bit layers are fitted to"
    )
    parser.add_argument("--results", type=Path, help="only add these results to the card of the checkpoint")
    parser.add_argument("--renew", action="store_true", help="only encode the registry anew")
    arguments = parser.parse_args()
    if arguments.renew:
        scorer = load_scorer(arguments.output)
        assert isinstance(scorer, BatchedScorer)
        encode_registry(scorer, arguments.output)
    elif arguments.results:
        add_results(arguments.output, arguments.results)
        write_manifest(arguments.output)
    elif arguments.run:
        package(arguments.run, arguments.output, arguments.eight_bits)
    else:
        parser.error("give a run to package, or --results or --renew")


if __name__ == "__main__":
    main()
