"""Starting points: a network on a sentence encoder or on the first layers of a causal language model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from modelsat.capability.tasks import reference
from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.network.config import ModelSATConfig, Order
from modelsat.network.encoder import mean_state
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.model import ModelSATModel


@dataclass(frozen=True)
class BaseSettings:
    """What a network is built on.

    Attributes:
        base: Folder or Hub name of phi's pretrained weights.
        causal: Whether phi is a causal language model; its answer is read off a small head all the same.
        layers: Keep the first layers only; all of them if ``None``.
        inquiry_prompt: The performance inquiry prompt p; one token keeps branches short.
        max_instruction_tokens: Token budget of the instruction.
        order: ``"instruction_first"`` (one pass) or ``"capability_first"`` (the paper's).
        reference_tasks: Tasks the network looks candidates up on; those of the catalogue if ``None``, none for the
            paper's network.
        lora_rank: Train low-rank adapters of this rank on phi's matrices instead of the matrices; 0: none.
        lora_alpha: Scale of the adapters; twice the rank if ``None``.
    """

    base: str | os.PathLike[str]
    causal: bool = False
    layers: int | None = None
    inquiry_prompt: str = "[MASK]"
    max_instruction_tokens: int = 192
    order: Order = "instruction_first"
    reference_tasks: tuple[str, ...] | None = None
    lora_rank: int = 0
    lora_alpha: int | None = None

    def __post_init__(self) -> None:
        if self.max_instruction_tokens < 8 or self.lora_rank < 0 or (self.lora_alpha or 1) < 1:
            raise ConfigurationError("max_instruction_tokens must be at least 8, lora_rank and lora_alpha positive")


def build(settings: BaseSettings) -> tuple[ModelSATModel, Tokenizer]:
    """The network on pretrained weights, psi's text encoder sharing phi, and its tokenizer.

    Raises:
        ConfigurationError: The base cannot be loaded, the inquiry prompt has no tokens, there are fewer layers than
            asked for, or instructions would be longer than phi reads.
        MissingDependencyError: Adapters are asked for and peft is not installed.
    """
    with _loading(settings.base):
        config = AutoConfig.from_pretrained(settings.base)
        tokenizer = AutoTokenizer.from_pretrained(settings.base).backend_tokenizer
    for dropout in ("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(config, dropout):
            setattr(config, dropout, 0.0)
    if settings.layers is not None:
        if not 1 <= settings.layers <= config.num_hidden_layers:
            raise ConfigurationError(
                f"phi has {config.num_hidden_layers} layers, so layers={settings.layers} cannot be"
            )
        config.num_hidden_layers = settings.layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: settings.layers]
    tokenizer.no_padding()
    tokenizer.no_truncation()
    inquiry = tokenizer.encode(settings.inquiry_prompt, add_special_tokens=False).ids
    if not inquiry:
        raise ConfigurationError(f"the inquiry prompt {settings.inquiry_prompt!r} has no tokens")
    positions = settings.max_instruction_tokens + 1 + len(inquiry)
    if positions > getattr(config, "max_position_embeddings", positions):
        raise ConfigurationError(
            f"max_instruction_tokens={settings.max_instruction_tokens} and the inquiry prompt need {positions} "
            f"positions, but phi reads {config.max_position_embeddings}"
        )
    network = ModelSATConfig(
        phi_config=config,
        causal=settings.causal,
        order=settings.order,
        inquiry_prompt=settings.inquiry_prompt,
        inquiry_ids=inquiry,
        max_instruction_tokens=settings.max_instruction_tokens,
        reference_tasks=settings.reference_tasks,
    )
    model = ModelSATModel(network)
    with _loading(settings.base):
        pooling: dict[str, Any] = {} if settings.causal else {"add_pooling_layer": False}
        pretrained = AutoModel.from_pretrained(settings.base, **pooling)
    kept = set(model.phi.state_dict())
    model.phi.load_state_dict({name: value for name, value in pretrained.state_dict().items() if name in kept})
    answer = cast(nn.Linear, model.head[2])
    nn.init.zeros_(answer.bias)
    nn.init.normal_(answer.weight, std=0.02)
    _start_lookup(model, tokenizer)
    if settings.lora_rank:
        add_adapters(model, settings.lora_rank, settings.lora_alpha or 2 * settings.lora_rank)
    return model, tokenizer


@torch.no_grad()
def _start_lookup(model: ModelSATModel, tokenizer: Tokenizer) -> None:
    tasks = [reference(name).description for name in model.config.reference_tasks]
    if tasks:
        batch = InstructionTokenizer(tokenizer, model.config.max_instruction_tokens, model.config.head_share)(tasks)
        ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
        model.lookup.start(mean_state(model.phi(input_ids=ids, attention_mask=mask).last_hidden_state, mask))


def add_adapters(model: ModelSATModel, rank: int, alpha: int) -> None:
    """Put low-rank adapters (LoRA, arXiv 2106.09685) beside every matrix of phi's layers and freeze phi itself."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingDependencyError.for_extra("training low-rank adapters", "train") from error
    model.phi.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear")
    inject_adapter_in_model(config, model.phi)


def merge_adapters(model: ModelSATModel) -> None:
    """Add the adapters into phi's matrices and remove them; nothing happens without adapters."""
    if not any("lora_" in name for name, _ in model.phi.named_parameters()):
        return
    from peft.tuners.lora import LoraLayer

    for module in list(model.phi.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(module, name, child.get_base_layer())


@contextmanager
def _loading(base: str | os.PathLike[str]) -> Iterator[None]:
    """Keep transformers from reporting weights that are left out on purpose, and name the base in its errors."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()
        raise ConfigurationError(
            f"cannot load the base {os.fspath(base)!r} ({reason[0] if reason else type(error).__name__}): give the "
            "folder or the Hub name of a BERT-like encoder, or of a causal language model with causal: true"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
