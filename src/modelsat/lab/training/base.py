"""Starting points: a network on a sentence encoder or a causal language model, psi with or without its own encoder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from modelsat.capability.equating import reference_tasks
from modelsat.capability.tasks import reference
from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.network.checkpoints import DOWN, UP
from modelsat.network.config import InquiryPosition, ModelSATConfig, Order, check_widths
from modelsat.network.encoder import mean_state
from modelsat.network.gguf import GGUFFile, is_gguf
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.layers import Layers, prune_feed_forward
from modelsat.network.model import ModelSATModel
from modelsat.storage.base import BASE_WEIGHTS, Base, describe
from modelsat.storage.checkpoint import MANIFEST, Checkpoint, open_checkpoint, shipped_folders
from modelsat.storage.hub import HubReference, download, parse_reference

_DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout"),
    *("resid_pdrop", "embd_pdrop"),
)
_DESCRIPTION_TOKENS = 128


@dataclass(frozen=True)
class BaseSettings:
    """What a network is built on.

    Attributes:
        base: Folder or Hub name (``org/name`` or ``org/name@revision``) of phi's pretrained weights, or a GGUF file; or
            a checkpoint of this project to go on from, shipped (``modelsat-nano``) or a folder: then no other key fits.
        causal: Whether phi is a causal language model.
        answer: ``"head"``: the score is read off a small two-way head. ``"lm_head"``: off a causal phi's own LM head,
            as the logit of the first answer word over the second (the paper's).
        answer_words: The two words, one token each.
        psi: Folder or Hub name of psi's own text encoder; psi shares phi's weights if ``None``.
        psi_prefix: Text before every task description, for an encoder that was trained with one.
        layers: Keep the first layers only; all of them if ``None``.
        inquiry_prompt: The performance inquiry prompt p; one token keeps branches short.
        inquiry_position: ``"own"`` or ``"shared"`` (added to e_c: one position a candidate, for one token).
        entry_layer: Layers of phi that read the instruction alone; candidates enter behind them.
        read_layer: Layers of phi behind which the instruction's mean state is read; all if ``None``.
        feed_forward: Units to keep of the feed-forward part of each of a BERT-like phi's layers; all if ``None``.
        head_width: Width of the small head's hidden layer; phi's if ``None``.
        frozen_layers: First layers of phi that stay as they are, with the token embeddings; at most ``entry_layer``.
        max_instruction_tokens: Token budget of the instruction.
        order: ``"instruction_first"`` (one pass) or ``"capability_first"`` (the paper's).
        reference_tasks: Tasks the network looks candidates up on; those of the catalogue if ``None``, none for the
            paper's network.
        lora_rank: Train low-rank adapters of this rank on phi's matrices instead of the matrices; 0: none.
        lora_alpha: Scale of the adapters; twice the rank if ``None``.
        adapter_of: ``"org/name@<commit>"``: the checkpoint holds adapters and heads only, over this public base, whose
            weights, ``model.safetensors`` or the GGUF file, must be those of ``base``.
    """

    base: str | os.PathLike[str]
    causal: bool = False
    answer: Literal["head", "lm_head"] = "head"
    answer_words: tuple[str, ...] = ("Yes", "No")
    psi: str | os.PathLike[str] | None = None
    psi_prefix: str = ""
    layers: int | None = None
    inquiry_prompt: str = "[MASK]"
    inquiry_position: InquiryPosition = "own"
    entry_layer: int = 0
    read_layer: int | None = None
    feed_forward: tuple[int, ...] | None = None
    head_width: int | None = None
    frozen_layers: int = 0
    max_instruction_tokens: int = 192
    order: Order = "instruction_first"
    reference_tasks: tuple[str, ...] | None = None
    lora_rank: int = 0
    lora_alpha: int | None = None
    adapter_of: str | None = None

    def __post_init__(self) -> None:
        if self.max_instruction_tokens < 8 or self.lora_rank < 0 or (self.lora_alpha or 1) < 1:
            raise ConfigurationError("max_instruction_tokens must be at least 8, lora_rank and lora_alpha positive")
        if self.answer not in ("head", "lm_head"):
            raise ConfigurationError(f"answer must be 'head' or 'lm_head', not {self.answer!r}")
        if self.answer == "lm_head" and not self.causal:
            raise ConfigurationError("answer: lm_head needs the LM head of a causal phi: set causal: true")
        if self.answer == "lm_head" and self.reference_tasks:
            raise ConfigurationError(
                "answer: lm_head looks no tasks up: leave reference_tasks out, or use answer: head"
            )
        if self.psi_prefix and self.psi is None:
            raise ConfigurationError("psi_prefix is for a psi with an encoder of its own: name it in psi")
        if not 0 <= self.frozen_layers <= self.entry_layer:
            raise ConfigurationError(
                f"frozen_layers must be layers that read the instruction alone, 0 to entry_layer ({self.entry_layer}), "
                f"not {self.frozen_layers}"
            )
        exports = self.psi is None and self.answer == "head" and self.order == "instruction_first"
        if self.adapter_of and not (self.lora_rank and exports):
            raise ConfigurationError(
                "adapter_of is for lora_rank above 0, a psi that shares phi, answer: head and order: instruction_first"
            )

    @property
    def looked_up(self) -> tuple[str, ...] | None:
        """Reference tasks of the network; ``None`` for those of the catalogue."""
        return () if self.answer == "lm_head" else self.reference_tasks


def build(settings: BaseSettings) -> tuple[ModelSATModel, Tokenizer]:
    """The network on pretrained weights, and phi's tokenizer; see :func:`psi_tokenizer` for the other.

    Raises:
        ConfigurationError: A base cannot be loaded, the inquiry prompt has no tokens, an answer word is not one token,
            there are fewer layers than asked for, or instructions would be longer than phi reads.
        MissingDependencyError: Adapters are asked for and peft is not installed.
    """
    trained = _checkpoint(settings.base)
    return _pretrained(settings) if trained is None else _continued(settings, trained)


def _pretrained(settings: BaseSettings) -> tuple[ModelSATModel, Tokenizer]:
    config = _config(settings.base)
    tokenizer = _tokenizer(settings.base)
    if settings.layers is not None:
        if not 1 <= settings.layers <= config.num_hidden_layers:
            raise ConfigurationError(
                f"phi has {config.num_hidden_layers} layers, so layers={settings.layers} cannot be"
            )
        config.num_hidden_layers = settings.layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: settings.layers]
    inquiry = tokenizer.encode(settings.inquiry_prompt, add_special_tokens=False).ids
    if not inquiry:
        raise ConfigurationError(f"the inquiry prompt {settings.inquiry_prompt!r} has no tokens")
    positions = settings.max_instruction_tokens + 1 + len(inquiry)
    if positions > getattr(config, "max_position_embeddings", positions):
        raise ConfigurationError(
            f"max_instruction_tokens={settings.max_instruction_tokens} and the inquiry prompt need {positions} "
            f"positions, but phi reads {config.max_position_embeddings}"
        )
    psi_config = None if settings.psi is None else _config(settings.psi)
    network = ModelSATConfig(
        phi_config=config,
        psi_config=psi_config,
        description_prefix=settings.psi_prefix,
        max_description_tokens=_description_tokens(psi_config),
        answer_ids=_answer_ids(settings, tokenizer),
        causal=settings.causal,
        order=settings.order,
        inquiry_prompt=settings.inquiry_prompt,
        inquiry_ids=inquiry,
        inquiry_position=settings.inquiry_position,
        entry_layer=settings.entry_layer,
        read_layer=settings.read_layer,
        head_width=settings.head_width,
        max_instruction_tokens=settings.max_instruction_tokens,
        reference_tasks=settings.looked_up,
    )
    model = ModelSATModel(network)
    kind = AutoModelForCausalLM if settings.answer == "lm_head" else AutoModel
    _load(model.phi, settings.base, kind, {} if settings.causal else {"add_pooling_layer": False})
    _prune(model, settings.feed_forward, tokenizer)
    if settings.psi is not None:
        _load(model.psi, settings.psi, AutoModel, {})
    if settings.answer == "head":
        answer = cast(nn.Linear, model.head[2])
        nn.init.zeros_(answer.bias)
        nn.init.normal_(answer.weight, std=0.02)
        _start_lookup(model, tokenizer)
    if settings.lora_rank:
        add_adapters(model, settings.lora_rank, settings.lora_alpha or 2 * settings.lora_rank, settings.frozen_layers)
    if settings.frozen_layers:
        _freeze(model, settings.frozen_layers)
    return model, tokenizer


def _checkpoint(base: str | os.PathLike[str]) -> Checkpoint | None:
    """The checkpoint of this project that a base names, shipped or a folder; ``None`` if it is another network."""
    name = os.fspath(base)
    folders = {folder.name: folder for folder in shipped_folders()}
    folder = Path(name) if Path(name).is_dir() else folders.get(name)
    return open_checkpoint(folder) if folder is not None and (folder / MANIFEST).is_file() else None


def _continued(settings: BaseSettings, checkpoint: Checkpoint) -> tuple[ModelSATModel, Tokenizer]:
    """A trained network, to go on from; its calibration is taken back."""
    if dataclasses.replace(settings, base="") != BaseSettings(base=""):
        raise ConfigurationError(
            f"{checkpoint.version} is trained: what it is built of stands in its config.json, so the recipe's network "
            "may hold base and nothing else"
        )
    checkpoint.verify(partial=True)
    if "model.safetensors" not in checkpoint.digests or not (checkpoint.path / "model.safetensors").is_file():
        raise ConfigurationError(
            f"{checkpoint.path} holds no model.safetensors to go on from: the wheel ships what scores alone; take the "
            "checkpoint of a source checkout"
        )
    model = ModelSATModel.from_pretrained(checkpoint.path, dtype=torch.float32)
    model.config.scale, model.config.shift = 1.0, 0.0
    return model, Tokenizer.from_file(str(checkpoint.file("tokenizer.json")))


def psi_tokenizer(settings: BaseSettings) -> Tokenizer | None:
    """The tokenizer of psi's own encoder; ``None`` if psi shares phi's.

    Raises:
        ConfigurationError: It cannot be loaded.
    """
    return None if settings.psi is None else _tokenizer(settings.psi)


def _config(base: str | os.PathLike[str]) -> PreTrainedConfig:
    """Configuration of a pretrained network, without dropout."""
    name, where = _source(base)
    with _loading(base):
        config: PreTrainedConfig = GGUFFile(name).config if is_gguf(name) else AutoConfig.from_pretrained(name, **where)
    if Path(name).is_dir():
        config.name_or_path = ""  # a folder of this machine says nothing to the reader of config.json
    for dropout in _DROPOUTS:
        if hasattr(config, dropout):
            setattr(config, dropout, 0.0)
    return config


def _tokenizer(base: str | os.PathLike[str]) -> Tokenizer:
    name, where = _source(base)
    if is_gguf(name):
        return GGUFFile(name).tokenizer()
    with _loading(base):
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(name, **where).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _load(network: Any, base: str | os.PathLike[str], kind: Any, options: dict[str, Any]) -> None:
    """Pretrained weights into a network, as far as it has them: it may have fewer layers and no pooler."""
    name, where = _source(base)
    if is_gguf(name):
        named = GGUFFile(name).state()
        prefix = "" if kind is AutoModelForCausalLM else f"{network.base_model_prefix}."
        pretrained = {key.removeprefix(prefix): weight for key, weight in named.items()}
    else:
        with _loading(base):
            pretrained = kind.from_pretrained(name, **where, **options).state_dict()
    network.load_state_dict({name: pretrained[name] for name in network.state_dict() if name in pretrained})


def _source(base: str | os.PathLike[str]) -> tuple[str, dict[str, str]]:
    """Folder or Hub name, and the revision on the Hub if one is named."""
    name = os.fspath(base)
    found = None if Path(name).is_dir() else parse_reference(name)
    return (name, {}) if found is None else (found.repo, {"revision": found.revision})


def _answer_ids(settings: BaseSettings, tokenizer: Tokenizer) -> tuple[int, int] | None:
    if settings.answer == "head":
        return None
    ids = [tokenizer.encode(word, add_special_tokens=False).ids for word in settings.answer_words]
    unknown = tokenizer.token_to_id("[UNK]")
    if len(ids) != 2 or any(len(row) != 1 for row in ids) or ids[0] == ids[1] or [unknown] in ids:
        raise ConfigurationError(
            f"answer_words must be two words of one token each for phi's tokenizer, not {list(settings.answer_words)}"
        )
    return ids[0][0], ids[1][0]


def _description_tokens(config: PreTrainedConfig | None) -> int:
    """Token budget of a task description: what five keywords need, as far as the encoder reads."""
    read = getattr(config, "max_position_embeddings", None) or _DESCRIPTION_TOKENS
    return min(_DESCRIPTION_TOKENS, read - 2)  # RoBERTa's positions start at 2


@torch.no_grad()
def _start_lookup(model: ModelSATModel, tokenizer: Tokenizer) -> None:
    if model.config.reference_tasks:
        ids, mask = _tokens(model, tokenizer, model.config.reference_tasks)
        model.lookup.start(mean_state(model.read(ids, mask), mask))


def _prune(model: ModelSATModel, widths: Sequence[int] | None, tokenizer: Tokenizer) -> None:
    """Narrow the feed-forward parts of phi, judged by the descriptions of the catalogue's reference tasks."""
    if widths is not None:
        check_widths(None if model.config.causal else model.config.phi_config, widths)
        prune_feed_forward(model.phi, widths, *_tokens(model, tokenizer, reference_tasks()))
        model.config.feed_forward = list(widths)


def _tokens(model: ModelSATModel, tokenizer: Tokenizer, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
    texts = [reference(name).description for name in tasks]
    batch = InstructionTokenizer(tokenizer, model.config.max_instruction_tokens, model.config.head_share)(texts)
    return torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)


def _freeze(model: ModelSATModel, layers: int) -> None:
    """Leave phi's first layers, and what they read, as they are."""
    model.frozen_layers = layers
    for module in (getattr(model.phi, "embeddings", model.phi.get_input_embeddings()), *Layers(model.phi).all[:layers]):
        module.requires_grad_(False)


def add_adapters(model: ModelSATModel, rank: int, alpha: int, first: int = 0) -> None:
    """Put low-rank adapters (LoRA, arXiv 2106.09685) beside every matrix of phi's layers and freeze phi itself.

    Args:
        model: The network.
        rank: Rank of the adapters.
        alpha: Their scale, times the rank.
        first: Layers before this one get none.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingDependencyError.for_extra("training low-rank adapters", "train") from error
    model.phi.requires_grad_(False)
    below = rf"(.*\.)?layers?\.({'|'.join(map(str, range(first)))})\..*" if first else None
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear", exclude_modules=below)
    inject_adapter_in_model(config, model.phi)


def adapter_base(settings: BaseSettings) -> Base | None:
    """The public base of the checkpoint's adapters; ``None`` if it is to hold the whole network.

    Raises:
        ConfigurationError: ``adapter_of`` names no commit, or the base is neither one ``model.safetensors`` nor GGUF.
    """
    if not settings.adapter_of:
        return None
    name, where = _source(settings.base)
    path = Path(name) if is_gguf(name) else Path(name) / BASE_WEIGHTS
    if not is_gguf(name) and not Path(name).is_dir():
        path = download(HubReference(name, where["revision"]), BASE_WEIGHTS, ConfigurationError)
    if not path.is_file():
        raise ConfigurationError(
            f"adapter_of needs a base whose weights are one file, {BASE_WEIGHTS}: {path} is missing"
        )
    return describe(settings.adapter_of, path, settings.layers or _config(settings.base).num_hidden_layers)


@torch.no_grad()
def shipped_adapters(model: ModelSATModel) -> dict[str, Tensor]:
    """Adapters and heads as a checkpoint holds them, float16; the network's own are rounded to them."""
    from peft.tuners.lora import LoraLayer

    state = {}
    for name, weight in model.state_dict().items():
        if not name.startswith("phi."):
            weight.copy_(weight.half())
            state[name] = weight.half()
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            down, up = (getattr(layer, part)["default"].weight for part in ("lora_A", "lora_B"))
            scale = layer.scaling["default"]
            state[name + DOWN], state[name + UP] = down.half(), (up * scale).half()
            down.copy_(state[name + DOWN])
            up.copy_(state[name + UP] / scale)
    return state


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
