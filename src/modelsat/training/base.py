"""Starting points: a network on a sentence encoder or on the first layers of a causal language model."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from modelsat.errors import ConfigurationError
from modelsat.network.config import ModelSATConfig, Order
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
        lora_rank: Train low-rank adapters of this rank on phi's matrices instead of the matrices; 0: none.
        lora_alpha: Scale of the adapters; twice the rank if ``None``.
    """

    base: str | os.PathLike[str]
    causal: bool = False
    layers: int | None = None
    inquiry_prompt: str = "[MASK]"
    max_instruction_tokens: int = 192
    order: Order = "instruction_first"
    lora_rank: int = 0
    lora_alpha: int | None = None


def build(settings: BaseSettings) -> tuple[ModelSATModel, Tokenizer]:
    """The network on pretrained weights, psi's text encoder sharing phi, and its tokenizer.

    Raises:
        ConfigurationError: The inquiry prompt has no tokens, or there are fewer layers than asked for.
    """
    config = AutoConfig.from_pretrained(settings.base)
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
    tokenizer = AutoTokenizer.from_pretrained(settings.base).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    inquiry = tokenizer.encode(settings.inquiry_prompt, add_special_tokens=False).ids
    if not inquiry:
        raise ConfigurationError(f"the inquiry prompt {settings.inquiry_prompt!r} has no tokens")
    network = ModelSATConfig(
        phi_config=config,
        causal=settings.causal,
        order=settings.order,
        inquiry_prompt=settings.inquiry_prompt,
        inquiry_ids=inquiry,
        max_instruction_tokens=settings.max_instruction_tokens,
    )
    model = ModelSATModel(network)
    pretrained = AutoModel.from_pretrained(settings.base, **({} if settings.causal else {"add_pooling_layer": False}))
    weights = {name: value for name, value in pretrained.state_dict().items() if name in model.phi.state_dict()}
    model.phi.load_state_dict(weights)
    nn.init.zeros_(model.head[2].bias)
    nn.init.normal_(model.head[2].weight, std=0.02)
    if settings.lora_rank:
        add_adapters(model, settings.lora_rank, settings.lora_alpha or 2 * settings.lora_rank)
    return model, tokenizer


def add_adapters(model: ModelSATModel, rank: int, alpha: int) -> None:
    """Put low-rank adapters (LoRA, arXiv 2106.09685) beside every matrix of phi's layers and freeze phi itself."""
    from peft import LoraConfig, inject_adapter_in_model

    model.phi.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear")
    inject_adapter_in_model(config, model.phi)


def merge_adapters(model: ModelSATModel) -> None:
    """Add the adapters into phi's matrices and remove them; nothing happens without adapters."""
    from peft.tuners.lora import LoraLayer

    for module in list(model.phi.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(module, name, child.get_base_layer())
