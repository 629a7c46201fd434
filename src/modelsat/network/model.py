"""The network: capability encoder psi, connector W, lightweight language model phi.

Score = P('Yes' | z) with the capability instruction z = [e_x, e_c, e_p] and e_c = W psi(c) (Model-SAT, arXiv
2502.17282, with the instruction first so that it is read once for all candidates).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedModel

from modelsat.errors import ConfigurationError
from modelsat.network.checkpoints import is_adapter, local_folder, merged_state, push_model
from modelsat.network.config import ModelSATConfig
from modelsat.network.encoder import StatementPooling, TaskLookup, mean_pool, mean_state, text_encoder
from modelsat.network.layers import Layers, additive, capability_first, one_pass, resize_feed_forward
from modelsat.storage.checkpoint import Checkpoint, read_manifest

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from typing_extensions import Self

__all__ = ["ModelSATModel"]


class ModelSATModel(PreTrainedModel):
    """Scores M candidates for each instruction of a batch.

    With ``order="instruction_first"`` that is one pass of phi over ``L + M * b`` positions (b:
    :attr:`~modelsat.network.config.ModelSATConfig.branch`); with ``order="capability_first"`` one row per candidate.
    """

    config_class = ModelSATConfig
    base_model_prefix = "modelsat"
    _supports_sdpa = True
    _no_split_modules: list[str] = []  # noqa: RUF012

    frozen_layers = 0
    """First layers of phi that training leaves as they are, at most as many as read the instruction alone."""

    def __init__(self, config: ModelSATConfig) -> None:
        super().__init__(config)
        if config.phi_config is None:
            raise ConfigurationError("ModelSATConfig.phi_config is missing: give the configuration of phi")
        if not config.inquiry_ids:
            raise ConfigurationError("ModelSATConfig.inquiry_ids is empty: give the token ids of the inquiry prompt")
        width = config.phi_config.hidden_size
        if config.answer_ids is not None:
            self.phi = AutoModelForCausalLM.from_config(config.phi_config)
        else:
            pooling = {} if config.causal else {"add_pooling_layer": False}
            self.phi = AutoModel.from_config(config.phi_config, **pooling)
            self.lookup = TaskLookup(width, len(config.reference_tasks), config.lookups)
            inner = config.head_width or width
            self.head = nn.Sequential(nn.Linear(2 * width + self.lookup.values, inner), nn.GELU(), nn.Linear(inner, 2))
            if config.feed_forward is not None:
                resize_feed_forward(self.phi, config.feed_forward)
        if self._layer_by_layer and not Layers.known(self.phi):
            raise ConfigurationError("entry_layer and read_layer are for a BERT-like phi or a Llama")
        self.psi = text_encoder(config.psi_config) if config.psi_config is not None else None
        text_width = width if config.psi_config is None else config.psi_config.hidden_size
        self.pooling = StatementPooling(
            text_width, config.statement_features, config.overall_features, config.capability_width
        )
        self.connector = nn.Linear(config.capability_width, width)
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def _inquiry_ids(self) -> Tensor:
        return torch.tensor(self.config.inquiry_ids, device=self.connector.weight.device)

    @property
    def _phi_base(self) -> Any:
        """Phi without an LM head."""
        return self.phi if self.config.answer_ids is None else self.phi.base_model

    # -- from and to the Hub -----------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        revision: str = "main",
        token: str | bool | None = None,
        base: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a network from a folder, or from the Hub after every file was checked against its manifest.

        Adapters are merged into their base (:func:`~modelsat.network.checkpoints.merged_state`).

        Args:
            pretrained_model_name_or_path: A folder, or ``"org/name"`` on the Hub; ``None`` with ``config`` and
                ``state_dict``, which were checked already.
            *model_args: As transformers takes them.
            revision: Branch, tag or commit on the Hub.
            token: Token for the Hub; the one logged in with if not given.
            base: A folder that holds the base of adapters; ``$MODELSAT_BASE`` or the Hub if not given.
            **kwargs: As transformers takes them.

        Raises:
            CheckpointError: The weights or their base cannot be downloaded, or a file is not what the manifest says.
            ConfigurationError: ``base`` is given for weights that need none.
        """
        if pretrained_model_name_or_path is None:
            return super().from_pretrained(None, *model_args, **kwargs)
        folder = local_folder(pretrained_model_name_or_path, revision, token)
        if not is_adapter(folder):
            if base is not None:
                raise ConfigurationError(f"{folder} holds a whole network: leave base out, which is for adapters")
            return super().from_pretrained(folder, *model_args, **kwargs)
        config = kwargs.pop("config", None) or ModelSATConfig.from_pretrained(folder)
        state = merged_state(cls.empty(config), Checkpoint(folder, read_manifest(folder)), base, token)
        model = super().from_pretrained(None, *model_args, config=config, state_dict=state, **kwargs)
        model.name_or_path = os.fspath(folder)
        return model

    @classmethod
    def empty(cls, config: ModelSATConfig) -> Self:
        """A network that knows names and shapes only."""
        with torch.device("meta"):
            return cls(config)

    def push_to_hub(  # type: ignore[override]
        self, repo_id: str, *, tokenizer: Tokenizer | None = None, **options: Any
    ) -> str:
        """Upload the network as a checkpoint with tokenizer, model card and manifest.

        Args:
            repo_id: ``"org/name"`` or ``"org/name@branch"``.
            tokenizer: Phi's tokenizer; that of the folder the network was loaded from if not given.
            **options: ``private``, ``token``, ``revision`` (a branch) and ``commit_message``.

        Returns:
            The repository at the new commit, as ``Router(weights=...)`` takes it.

        Raises:
            CheckpointError: There is no tokenizer, or the Hub refuses.
        """
        return push_model(self, repo_id, tokenizer, **options)

    # -- capability side ----------------------------------------------------------------------------------------------

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed task descriptions with psi's text encoder, shape (texts, text_width)."""
        if self.psi is None:
            return mean_pool(self.read(input_ids, attention_mask), attention_mask)
        hidden = self.psi(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return mean_pool(hidden, attention_mask)

    def encode_capabilities(self, descriptions: Tensor, features: Tensor, overall: Tensor, mask: Tensor) -> Tensor:
        """What stands for a candidate: e_c = W psi(c), then its expected logits on the reference tasks.

        Args:
            descriptions: As in :class:`StatementPooling`.
            features: As in :class:`StatementPooling`.
            overall: :func:`~modelsat.capability.equating.profile_features`, shape (profiles, overall_features + tasks).
            mask: As in :class:`StatementPooling`.

        Returns:
            Shape (profiles, width + tasks).
        """
        able = self.config.overall_features
        level, expected = overall[..., :able], overall[..., able : able + len(self.config.reference_tasks)]
        vector = self.connector(self.pooling(descriptions, features, level, mask))
        return torch.cat([vector, expected], dim=-1)

    @property
    def capability_size(self) -> int:
        """Numbers that stand for a candidate: width of phi plus reference tasks."""
        return self.connector.out_features + len(self.config.reference_tasks)

    # -- instruction side ---------------------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        capabilities: Tensor | None = None,
        *,
        descriptions: Tensor | None = None,
        features: Tensor | None = None,
        overall: Tensor | None = None,
        statement_mask: Tensor | None = None,
        states: Tensor | None = None,
    ) -> Tensor:
        """Uncalibrated logits log P('Yes')/P('No'), shape (batch, candidates).

        Args:
            input_ids: Instruction tokens, right-padded, shape (batch, L).
            attention_mask: Shape (batch, L).
            capabilities: Of :meth:`encode_capabilities`, shape (candidates, capability_size). Without it, profiles
                are encoded here from the four arguments that follow, so that psi and W learn in the same pass.
            descriptions: Text embeddings of task descriptions, shape (candidates, statements, text_width).
            features: Shape (candidates, statements, statement_features).
            overall: Shape (candidates, overall_features + tasks).
            statement_mask: Shape (candidates, statements).
            states: Of :meth:`read_frozen`, if they are at hand.
        """
        if capabilities is None:
            if descriptions is None or features is None or overall is None or statement_mask is None:
                raise ConfigurationError("give capabilities, or descriptions, features, overall and statement_mask")
            capabilities = self.encode_capabilities(descriptions, features, overall, statement_mask)
        if self.config.order == "capability_first":
            return self._capability_first(input_ids, attention_mask, capabilities)
        return self.score_and_read(input_ids, attention_mask, capabilities, states)[0]

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Phi's states of texts behind ``read_layer``, shape (batch, L, width)."""
        if self.config.read_layer is None:
            states: Tensor = self._phi_base(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return states
        return Layers(self.phi).end(self._run_alone(input_ids, attention_mask, self.config.read_layer))

    def score_and_read(
        self, input_ids: Tensor, attention_mask: Tensor, capabilities: Tensor, states: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One pass over all candidates: logits, and what :meth:`read` gives of the instructions.

        Arguments as in :meth:`forward`. Returns shapes (batch, candidates) and (batch, L, width).
        """
        batch, count = input_ids.shape[0], capabilities.shape[0]
        vectors, expected = self._parts(capabilities)
        length, branch = input_ids.shape[1], self.config.branch
        if self._layer_by_layer:
            text, tail = self._run_layers(*self.starts(input_ids, attention_mask, capabilities), states)
        else:
            text, tail, allowed, positions = self._sequence(input_ids, attention_mask, vectors)
            hidden = self._run_phi(torch.cat([text, tail], dim=1), allowed, positions)
            text, tail = hidden[:, :length], hidden[:, length:]
        last = tail.reshape(batch, count, branch, tail.shape[-1])[:, :, -1]
        read = mean_state(text, attention_mask).unsqueeze(1)
        return self._answer(last, vectors.expand(batch, -1, -1), expected, read), text

    def probabilities(self, input_ids: Tensor, attention_mask: Tensor, capabilities: Tensor) -> Tensor:
        """Calibrated P(success), shape (batch, candidates)."""
        logits = self(input_ids, attention_mask, capabilities)
        return torch.sigmoid(self.config.scale * logits.float() + self.config.shift)

    def _capability_first(self, input_ids: Tensor, attention_mask: Tensor, capabilities: Tensor) -> Tensor:
        batch, count = input_ids.shape[0], capabilities.shape[0]
        vectors, expected = self._parts(capabilities)
        embed = self.phi.get_input_embeddings()
        inquiry = embed(self._inquiry_ids)
        rows = batch * count
        lead = vectors.to(inquiry.dtype).unsqueeze(0).expand(batch, -1, -1).reshape(rows, 1, -1)
        body = embed(input_ids).repeat_interleave(count, dim=0)
        mask = attention_mask.repeat_interleave(count, dim=0)
        hidden = self._run_phi(
            torch.cat([lead, body, inquiry.unsqueeze(0).expand(rows, -1, -1)], dim=1),
            *capability_first(mask, inquiry.shape[0], causal=self.config.causal),
        )
        read = mean_state(hidden[:, 1 : 1 + input_ids.shape[1]], mask).reshape(batch, count, -1)
        last = hidden[:, -1].reshape(batch, count, -1)
        return self._answer(last, vectors.expand(batch, -1, -1), expected, read)

    def _parts(self, capabilities: Tensor) -> tuple[Tensor, Tensor]:
        width = self.connector.out_features
        return capabilities[:, :width], capabilities[:, width:]

    def _sequence(
        self, input_ids: Tensor, attention_mask: Tensor, vectors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input embeddings of the instruction and of the candidates; who may look at whom; positions of both."""
        count, branch = vectors.shape[0], self.config.branch
        embed = self.phi.get_input_embeddings()
        inquiry = embed(self._inquiry_ids)
        if self.config.inquiry_position == "shared":
            tail = vectors + inquiry
        else:
            tail = torch.cat([vectors.unsqueeze(1), inquiry.unsqueeze(0).expand(count, -1, -1)], dim=1)
        tail = tail.reshape(1, count * branch, -1).expand(input_ids.shape[0], -1, -1)
        allowed, positions = one_pass(attention_mask, count, branch, causal=self.config.causal)
        return embed(input_ids), tail.to(inquiry.dtype), allowed, positions

    def starts(
        self, input_ids: Tensor, attention_mask: Tensor, capabilities: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What phi's layers begin with; arguments as in :meth:`forward`.

        Returns:
            States of the instruction, shape (batch, L, width); of the candidates where they enter, shape
            (batch, candidates * b, width); boolean mask of who may look at whom, and positions, both behind one
            another.
        """
        vectors, _ = self._parts(capabilities)
        text, tail, allowed, positions = self._sequence(input_ids, attention_mask, vectors)
        begin, length = Layers(self.phi).begin, text.shape[1]
        return begin(text, positions[:, :length]), begin(tail, positions[:, length:]), allowed, positions

    @torch.no_grad()
    def read_frozen(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """States of the instruction behind the frozen layers, without gradient, shape (batch, L, width)."""
        return self._run_alone(input_ids, attention_mask, self.frozen_layers)

    def _run_alone(self, input_ids: Tensor, attention_mask: Tensor, end: int) -> Tensor:
        """States of the instruction behind the first ``end`` layers, shape (batch, L, width)."""
        allowed, positions = one_pass(attention_mask, 0, 1, causal=self.config.causal)
        layers = Layers(self.phi)
        text = layers.begin(self.phi.get_input_embeddings()(input_ids), positions)
        return layers.run(text, additive(allowed, text), positions, slice(end))

    @property
    def _layer_by_layer(self) -> bool:
        """Whether candidates enter, or the instruction is read, between phi's layers."""
        return self.config.entry_layer > 0 or self.config.read_layer is not None

    def _run_layers(
        self, text: Tensor, behind: Tensor, allowed: Tensor, positions: Tensor, states: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """States of the instruction behind ``read_layer``, and of the candidates, which enter behind ``entry_layer``.

        Shapes (batch, L, width) and (batch, M*b, width).
        """
        layers, mask = Layers(self.phi), additive(allowed, text)
        length, entry, frozen = text.shape[1], self.config.entry_layer, self.frozen_layers
        read = self.config.read_layer
        alone = mask[:, :, :length, :length], positions[:, :length]
        if states is None and frozen:
            with torch.no_grad():
                states = layers.run(text, *alone, slice(frozen))
        hidden = layers.run(text if states is None else states, *alone, slice(frozen, entry))
        both = layers.run(torch.cat([hidden, behind], dim=1), mask, positions, slice(entry, read))
        text, tail = both[:, :length], both[:, length:]
        if read is not None and read < len(layers.all):
            both = layers.run(both, mask, positions, slice(read, -1))
            tail = layers.finish(both, length, mask, positions)
        return layers.end(text), layers.end(tail)

    def _run_phi(self, embeddings: Tensor, allowed: Tensor, positions: Tensor) -> Tensor:
        mask = additive(allowed, embeddings)
        arguments: dict[str, Any] = {"inputs_embeds": embeddings, "attention_mask": mask, "position_ids": positions}
        if self.config.causal:
            arguments["use_cache"] = False
        return self._phi_base(**arguments).last_hidden_state  # type: ignore[no-any-return]

    def _answer(self, last: Tensor, vectors: Tensor, expected: Tensor, read: Tensor) -> Tensor:
        """Logits, shape (batch, candidates).

        ``last`` and ``vectors`` have shape (batch, candidates, width), ``read`` (batch, 1 or candidates, width).
        """
        if self.config.answer_ids is not None:
            weight = self.phi.get_output_embeddings().weight[self.config.answer_ids]
            answers = last @ weight.T
            return answers[..., 0] - answers[..., 1]  # type: ignore[no-any-return]
        found = self.lookup(read, expected)
        answers = self.head(torch.cat([last, vectors.to(last.dtype), found.to(last.dtype)], dim=-1))
        return self.lookup.score(found) + answers[..., 0] - answers[..., 1]  # type: ignore[no-any-return]
