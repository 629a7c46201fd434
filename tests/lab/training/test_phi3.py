"""The paper's network by recipe, with small random weights of the same classes, trained and scored in both orders."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    BertConfig,
    BertModel,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from modelsat import CapabilityProfile, Router
from modelsat.errors import ConfigurationError
from modelsat.inference import load_scorer
from modelsat.lab.training import read_recipe, train
from modelsat.lab.training.base import BaseSettings, build, psi_tokenizer
from modelsat.network.config import PAPER_INQUIRY, ModelSATConfig
from modelsat.network.model import ModelSATModel
from tests.lab.training.conftest import KINDS, QUICK, figures, write_recipe, write_world

RATES = {"learning_rate": 1e-2, "capability_learning_rate": 1e-2, "warmup_steps": 0}
RECIPE = Path(__file__).parents[3] / "recipes" / "modelsat-phi3.yaml"


def save_base(folder: Path, network: PreTrainedModel, vocabulary: dict[str, int], special: dict[str, str]) -> Path:
    raw = Tokenizer(WordLevel(vocabulary, unk_token=special["unk"]))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "cls" in special:
        ends = [(special[name], vocabulary[special[name]]) for name in ("cls", "sep")]
        raw.post_processor = processors.TemplateProcessing(single=f"{ends[0][0]} $A {ends[1][0]}", special_tokens=ends)
    tokens = {f"{name}_token": token for name, token in special.items()}
    PreTrainedTokenizerFast(tokenizer_object=raw, **tokens).save_pretrained(folder)
    network.save_pretrained(folder)
    return folder


def numbered(*words: str) -> dict[str, int]:
    return {word: at for at, word in enumerate(dict.fromkeys(words))}


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small folders of Phi-3, of BERT as E5-Large is one, and of XLM-R as its multilingual sibling is one."""
    root = tmp_path_factory.mktemp("paper")
    torch.manual_seed(0)
    phi = numbered("<unk>", "<pad>", "Yes", "No", *PAPER_INQUIRY.split(), *KINDS["sums"], *KINDS["cells"])
    bert = numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "query:", "mathematics,", "biology,", "arithmetic")
    xlmr = numbered("<s>", "<pad>", "</s>", "<unk>", "query:", "mathematics,")
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    wide = {**size, "hidden_size": 48}
    shape = Phi3Config(
        **size, vocab_size=len(phi), max_position_embeddings=128, sliding_window=64, pad_token_id=1, eos_token_id=1
    )
    return {
        "phi": save_base(root / "phi", Phi3ForCausalLM(shape), phi, {"unk": "<unk>", "pad": "<pad>"}),
        "tied": save_base(
            root / "tied",
            Phi3ForCausalLM(Phi3Config(**{**shape.to_dict(), "tie_word_embeddings": True})),
            phi,
            {"unk": "<unk>", "pad": "<pad>"},
        ),
        "bert": save_base(
            root / "bert",
            BertModel(BertConfig(**wide, vocab_size=len(bert), max_position_embeddings=64)),
            bert,
            {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]"},
        ),
        "xlmr": save_base(
            root / "xlmr",
            XLMRobertaModel(XLMRobertaConfig(**wide, vocab_size=len(xlmr), max_position_embeddings=40)),
            xlmr,
            {"unk": "<unk>", "pad": "<pad>", "cls": "<s>", "sep": "</s>"},
        ),
    }


def recipe_network(paper: dict[str, Path], psi: str, **keys: Any) -> dict[str, Any]:
    """The recipe's own network on small weights."""
    network = yaml.safe_load(RECIPE.read_text("utf-8"))["network"]
    return {**network, "base": str(paper["phi"]), "psi": str(paper[psi]), "max_instruction_tokens": 32, **keys}


@pytest.mark.parametrize(("order", "psi"), [("instruction_first", "bert"), ("capability_first", "xlmr")])
def test_the_papers_network_trains_and_scores(tmp_path: Path, paper: dict[str, Path], order: str, psi: str) -> None:
    write_world(tmp_path, 80)
    stages = yaml.safe_load(RECIPE.read_text("utf-8"))["stages"]
    short = {**QUICK, "max_steps": 2, "eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    stages = [{**stage, **short, "groups": ["both"], **RATES} for stage in stages]
    network = recipe_network(paper, psi, order=order, lora_rank=4)
    recipe = read_recipe(write_recipe(tmp_path, paper["phi"], network=network, stages=stages))
    start, _ = build(dataclasses.replace(recipe.network, lora_rank=0))
    folder = train(recipe, tmp_path / "run", export=False)
    trained = load_file(folder / "model.safetensors")
    for name in (
        "phi.model.layers.0.mlp.down_proj.weight",
        "psi.encoder.layer.0.output.dense.weight",
        "connector.weight",
    ):
        assert not torch.allclose(trained[name].float(), start.state_dict()[name], atol=1e-4), f"{name} has learnt"
    assert not [name for name in trained if "lora" in name or "pooler" in name or name.startswith("head")]
    assert (folder / "psi_tokenizer.json").is_file()
    card = (folder / "README.md").read_text("utf-8")
    assert "its own encoder of texts (bert)" in card if psi == "bert" else "(xlmr)" in card
    assert "LM head" in card
    scorer = load_scorer(folder, "auto")
    profiles = [CapabilityProfile.from_benchmarks(name, figures(name)) for name in ("sums-a", "cells-a", "all")]
    texts = ["add prime root", "leaf enzyme", "add " * 60]
    together = scorer.score(texts, profiles).p
    assert ((together > 0.0) & (together < 1.0)).all()
    for column in range(3):
        alone = scorer.score(texts, profiles[column : column + 1]).p[:, 0]
        assert alone == pytest.approx(together[:, column], abs=1e-4), "no candidate reads another"
    decision = Router(profiles, weights=folder, cache_dir=tmp_path / "cache").route("add prime root")
    assert decision.scores.keys() == {"sums-a", "cells-a", "all"}


def test_psi_reads_with_its_own_tokenizer_and_prefix(paper: dict[str, Path]) -> None:
    from modelsat.network.instruction import tokenizer_of

    settings = BaseSettings(**recipe_network(paper, "xlmr"))
    model, raw = build(settings)
    tokenizer = tokenizer_of(model.config.to_dict(), raw, psi_tokenizer(settings))
    batch = tokenizer.descriptions(["mathematics, zzz", "mathematics,"])
    assert batch.input_ids.tolist() == [[0, 4, 5, 3, 2], [0, 4, 5, 2, 1]], "<s> query: mathematics, <unk> </s>, padded"
    assert model.config.max_description_tokens == 38
    assert model.embed_text(*(torch.from_numpy(part) for part in (batch.input_ids, batch.attention_mask))).shape == (
        2,
        48,
    )
    yes, no = model.config.answer_ids
    assert (raw.id_to_token(yes), raw.id_to_token(no)) == ("Yes", "No")


def test_psi_stays_as_it_is_without_its_gradient(tmp_path: Path, paper: dict[str, Path]) -> None:
    write_world(tmp_path, 60)
    stage = {**QUICK, "max_steps": 2, "eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    network = recipe_network(paper, "bert", base=str(paper["tied"]), lora_rank=0)
    recipe = read_recipe(write_recipe(tmp_path, paper["tied"], network=network, stages=[stage]))
    folder = train(recipe, tmp_path / "run", export=False)
    trained, given = load_file(folder / "model.safetensors"), load_file(paper["bert"] / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(trained[f"psi.{name}"], given[name].half())
    again = train(recipe, tmp_path / "run", export=False, resume=True)
    scores = load_scorer(again, "torch").score(["add"], [CapabilityProfile.from_benchmarks("all", figures("all"))])
    assert scores.p.shape == (1, 1), "an LM head tied to the embeddings"


def test_the_recipe_is_the_papers_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSAT_DATA", os.fspath(tmp_path))
    network = read_recipe(RECIPE).network
    assert (network.base, network.psi) == ("microsoft/Phi-3-mini-4k-instruct", "intfloat/e5-large-v2")
    assert (network.answer, network.inquiry_prompt, network.looked_up) == ("lm_head", PAPER_INQUIRY, ())
    config = ModelSATConfig(
        phi_config=Phi3Config(),
        psi_config=BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
        causal=True,
        inquiry_ids=[1],
        answer_ids=(3869, 1939),
        reference_tasks=(),
        description_prefix=network.psi_prefix,
    )
    with torch.device("meta"):
        model = ModelSATModel(config)
    assert 4.1e9 < sum(parameter.numel() for parameter in model.parameters()) < 4.3e9
    assert ModelSATConfig(**json.loads(config.to_json_string())).psi_config.hidden_size == 1024


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"answer": "lm_head", "causal": False}, "set causal: true"),
        ({"answer": "lm-head"}, "must be one of head, lm_head"),
        ({"order": "backwards"}, "must be one of instruction_first, capability_first"),
        ({"answer_words": ["Yes"]}, "two words of one token"),
        ({"answer_words": ["Yes", "Maybe not"]}, "two words of one token"),
        ({"psi": None, "psi_prefix": "query: "}, "psi_prefix is for a psi"),
        ({"reference_tasks": ["MMLU"]}, "looks no tasks up"),
        ({"psi": "no/such/folder"}, "cannot load the base 'no/such/folder'"),
        ({"psi": "$NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set"),
    ],
)
def test_settings_that_contradict_each_other(
    tmp_path: Path, paper: dict[str, Path], keys: dict[str, Any], message: str
) -> None:
    write_world(tmp_path, 60)
    with pytest.raises(ConfigurationError, match=message.replace("$", r"\$")):
        build(
            read_recipe(write_recipe(tmp_path, paper["phi"], network={**recipe_network(paper, "bert"), **keys})).network
        )
