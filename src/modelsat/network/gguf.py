"""A Llama in a GGUF file, llama.cpp's format, as transformers has it: configuration, tokenizer, dequantised weights.

transformers reads such files too, but keeps them quantised: slow to train and not to be saved.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from modelsat.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    from transformers import LlamaConfig

SUFFIX = ".gguf"
_MATRICES = {
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
_HEADS = "llama.attention.head_count"
_CONTROL = 3
"""Token type of special tokens."""
_KNOWN = {
    "general.architecture": "llama",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
}
"""What a file must be for its weights and text to be read as they were trained."""


def is_gguf(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a GGUF file, by its ending."""
    return Path(path).suffix == SUFFIX


class GGUFFile:
    """A GGUF file of a Llama with SmolLM's tokenizer.

    Raises:
        ConfigurationError: It cannot be read, or holds another kind of network.
        MissingDependencyError: The package gguf is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            from gguf import GGUFReader
        except ImportError as error:
            raise MissingDependencyError.for_extra(f"reading {os.fspath(path)}", "export") from error
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise ConfigurationError(f"cannot read {os.fspath(path)} as a GGUF file: {error}") from error
        for field, wanted in _KNOWN.items():
            if (found := self._field(field)) != wanted:
                raise ConfigurationError(
                    f"{os.fspath(path)}: {field} is {found!r}, and only {wanted!r} can be read: take the network's "
                    "folder with model.safetensors instead"
                )

    def _field(self, name: str) -> Any:
        field = self._reader.fields.get(name)
        return None if field is None else field.contents()

    @cached_property
    def config(self) -> LlamaConfig:
        """Configuration of the network."""
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=len(self._field("tokenizer.ggml.tokens")),
            hidden_size=self._field("llama.embedding_length"),
            intermediate_size=self._field("llama.feed_forward_length"),
            num_hidden_layers=self._field("llama.block_count"),
            num_attention_heads=self._field(_HEADS),
            num_key_value_heads=self._field(f"{_HEADS}_kv"),
            max_position_embeddings=self._field("llama.context_length"),
            rms_norm_eps=self._field("llama.attention.layer_norm_rms_epsilon"),
            rope_parameters={"rope_type": "default", "rope_theta": self._field("llama.rope.freq_base")},
            tie_word_embeddings=True,
            bos_token_id=self._field("tokenizer.ggml.bos_token_id"),
            eos_token_id=self._field("tokenizer.ggml.eos_token_id"),
            pad_token_id=self._field("tokenizer.ggml.eos_token_id"),
        )

    def tokenizer(self) -> Tokenizer:
        """The tokenizer: byte-level BPE with digits apart."""
        tokens, kinds = self._field("tokenizer.ggml.tokens"), self._field("tokenizer.ggml.token_type")
        merges = [tuple(merge.split(" ")) for merge in self._field("tokenizer.ggml.merges")]
        built = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
        built.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        built.decoder = decoders.ByteLevel()
        special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
        built.add_special_tokens([AddedToken(token, special=True) for token in special])
        return built

    def state(self, layers: int | None = None) -> dict[str, Tensor]:
        """Weights by transformers' names, float32; of the first ``layers``, or all."""
        from gguf.quants import dequantize

        stored = {tensor.name: tensor for tensor in self._reader.tensors}

        def read(name: str) -> Tensor:
            return torch.from_numpy(np.array(dequantize(stored[name].data, stored[name].tensor_type), np.float32))

        heads = {"attn_q": self._field(_HEADS), "attn_k": self._field(f"{_HEADS}_kv")}
        state = {
            "model.embed_tokens.weight": read("token_embd.weight"),
            "model.norm.weight": read("output_norm.weight"),
        }
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
        for layer in range(self.config.num_hidden_layers if layers is None else layers):
            for name, ours in _MATRICES.items():
                weight = read(f"blk.{layer}.{name}.weight")
                weight = _halves(weight, heads[name]) if name in heads else weight
                state[f"model.layers.{layer}.{ours}.weight"] = weight
        return state


def _halves(weight: Tensor, heads: int) -> Tensor:
    """Rows in transformers' order, first halves of the rotary pairs before second ones; llama.cpp interleaves them."""
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)
