"""What a LiteLLM user writes about routing, validated; errors name the key by its path in the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from modelsat.capability.efforts import EFFORTS
from modelsat.errors import ConfigurationError
from modelsat.policies.resolve import weights_for
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.routing_rules import RoutingRules

ROOT = "litellm_settings.modelsat"
"""Where the settings stand in the proxy's configuration."""

UnknownModels = Literal["error", "mean", "estimate"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSettings(_Strict):
    """What is said about one deployment, under ``model_info.modelsat`` or a group's ``models``.

    Attributes:
        name: The candidate's name in decisions; deployments of one name are the same model to the router.
        profile: Name of a known model (``modelsat models``) whose capability this deployment has.
        benchmarks: Accuracy by benchmark, 0..1, for a model that is not known.
        facts: Prices, limits and abilities, in modelsat's terms, before LiteLLM's own.
        efforts: Reasoning efforts among which modelsat chooses, each a candidate; in ``model_info.modelsat`` alone.
    """

    name: str | None = Field(default=None, min_length=1)
    profile: str | None = Field(default=None, min_length=1)
    benchmarks: Mapping[str, float] | None = None
    facts: Mapping[str, Any] | None = None
    efforts: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("efforts")
    @classmethod
    def _are_efforts(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if strangers := [effort for effort in value or () if effort not in EFFORTS]:
            raise ValueError(f"{strangers[0]!r} is not a reasoning effort; known: {', '.join(EFFORTS)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """``gpt-4o`` stands for its profile, ``{MMLU: 0.7}`` for benchmarks."""
        if isinstance(value, str):
            return {"profile": value}
        if isinstance(value, Mapping) and value and not set(value) & set(cls.model_fields):
            return {"benchmarks": value}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> ModelSettings:
        if self.profile is not None and self.benchmarks is not None:
            raise ValueError("give either 'profile' or 'benchmarks', not both")
        if self.benchmarks is not None and not self.benchmarks:
            raise ValueError("'benchmarks' is empty: write e.g. {MMLU: 0.71, GSM8K: 0.83}")
        return self

    def over(self, other: ModelSettings) -> ModelSettings:
        """These settings, and where they are silent those of ``other``."""
        known = {name: value for each in (other, self) for name, value in each if value is not None}
        if self.profile is not None:
            known.pop("benchmarks", None)
        elif self.benchmarks is not None:
            known.pop("profile", None)
        return ModelSettings.model_construct(**known)


class GroupSettings(_Strict):
    """How one group of deployments is routed.

    Attributes:
        policy: A policy's name, with parameters (``cheapest(target=0.8)``), as a mapping, or a policy file.
        target: Short for the policy's parameter of this name.
        constraints: What no policy may overrule, see ``modelsat.request.Constraints``.
        fallback: Candidate that comes first when routing itself fails; without one LiteLLM's own strategy chooses.
        shadow: Candidate that answers while the router only decides and records, also where routing fails; or
            ``litellm``: LiteLLM's own strategy chooses who answers, among all that may.
        canary: Share of conversations in which the router's choice answers in place of the ``shadow``.
        experiment: Policies by name; each conversation is decided by one of them.
        timeout_ms: Longest wait for a decision; the general one if not given.
        unknown_models: What becomes of a deployment that nobody has measured. ``estimate`` (the default) warns and
            takes it for what its relatives or its price say, ``mean`` warns and ranks it by the mean of its group,
            ``error`` refuses to start; so does ``estimate`` where nothing is known to estimate it from.
        models: What is said about deployments, by name of the model, of its group, or by id.
        housekeeping: What a coding agent asks for in the background (titles, summaries) goes to the cheapest candidate
            that can take it; false turns that off, a dotted path names another test
            (:data:`~litellm_modelsat.requests.Housekeeping`).
        escalation: Where the work on a user turn is stuck, a candidate higher up answers; false turns that off, a
            dotted path names another test (:data:`~litellm_modelsat.requests.Stuck`).
    """

    policy: Any = "best"
    target: float | None = Field(default=None, ge=0.0, le=1.0)
    constraints: Any = None
    fallback: str | None = Field(default=None, min_length=1)
    shadow: str | None = Field(default=None, min_length=1)
    canary: float | None = Field(default=None, ge=0.0, le=1.0)
    experiment: Mapping[str, Any] | None = None
    timeout_ms: float | None = Field(default=None, gt=0)
    unknown_models: UnknownModels | None = None
    models: Mapping[str, ModelSettings] = Field(default_factory=dict)
    housekeeping: bool | str = True
    escalation: bool | str = True

    @field_validator("models")
    @classmethod
    def _efforts_are_the_deployments(cls, value: Mapping[str, ModelSettings]) -> Mapping[str, ModelSettings]:
        if any(entry.efforts for entry in value.values()):
            raise ValueError("write 'efforts' under model_info.modelsat of the deployment")
        return value

    @field_validator("policy")
    @classmethod
    def _is_a_policy(cls, value: Any) -> Any:
        if isinstance(value, (str, Mapping)) or callable(getattr(value, "choose", None)):
            return value
        raise ValueError("write a name, e.g. best or cheapest(target=0.8), or a mapping with name and parameters")

    @model_validator(mode="after")
    def _target_has_a_policy(self) -> GroupSettings:
        if self.target is not None and not (isinstance(self.policy, str) and self.policy.strip().isidentifier()):
            raise ValueError("give 'target' inside 'policy', e.g. policy: cheapest(target=0.8)")
        return self

    @property
    def given_policy(self) -> Any:
        """The policy in a form that ``modelsat.policies.resolve_policy`` reads."""
        return self.policy if self.target is None else {"name": self.policy.strip(), "target": self.target}


def _empty_is_default(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: {} if entry is None else entry for name, entry in value.items()}


class Settings(_Strict):
    """All settings of the proxy's callback.

    Attributes:
        groups: Settings by group: a ``model_name`` of several deployments, or a ``group_name`` of ``routing_groups``.
        weights: Name or folder of a checkpoint; see :attr:`network` where none is given.
        scorer: A running ``modelsat serve`` (``http://host:port``), so that all workers share one network; or the
            dotted path of a scorer object.
        timeout_ms: Longest wait for a decision, in milliseconds.
        batch: Waiting requests that are scored in one pass, at most.
        unknown_models: See :class:`GroupSettings`.
        log_decisions: Write one line a decision to the log.
        feedback: Where decisions and the feedback on them are kept, which corrects the scores, see
            ``modelsat.RouterConfig``; ``POST /modelsat/feedback`` takes it.
        cache: Whether the scores of a text are kept for ten minutes.
        envelopes: Tags that an agent of yours puts around text in user turns, see ``modelsat.RouterConfig``.
        rules: Who may answer which requests, in every group: a list, or a YAML file; see ``modelsat.RouterConfig``.
    """

    groups: Annotated[Mapping[str, GroupSettings], BeforeValidator(_empty_is_default)] = Field(min_length=1)
    weights: str | None = Field(default=None, min_length=1)
    scorer: str | None = Field(default=None, min_length=1)
    timeout_ms: float = Field(default=250.0, gt=0)
    batch: int = Field(default=32, ge=1, le=1024)
    unknown_models: UnknownModels = "estimate"
    log_decisions: bool = True
    feedback: Any = None
    cache: bool = True
    envelopes: tuple[Any, ...] = ()
    rules: Any = None

    @field_validator("rules", mode="before")
    @classmethod
    def _are_rules(cls, value: Any) -> Any:
        return None if value is None else RoutingRules.of(value)

    @field_validator("envelopes", mode="before")
    @classmethod
    def _are_envelopes(cls, value: Any) -> Any:
        return EnvelopeReader(value).added

    @property
    def network(self) -> str:
        """Name or folder of the weights: those given, or those that all policy files were fitted to, or the default."""
        policies = (group.policy for group in self.groups.values())
        return str(weights_for(self.weights, *policies))


Model = TypeVar("Model", bound=BaseModel)


def validated(kind: type[Model], value: Any, where: str) -> Model:
    """What the user wrote at the path ``where`` of the configuration, as a ``kind``.

    Raises:
        ConfigurationError: A key or a value is wrong; each line names the path.
    """
    if not isinstance(value, (Mapping, str)):
        raise ConfigurationError(f"{where} must be a mapping, not {type(value).__name__}")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        lines = []
        for entry in error.errors():
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in entry["loc"])
            lines.append(f"{where}{path}: {_sentence(kind, entry)}")
        raise ConfigurationError("\n".join(dict.fromkeys(lines))) from None


def _sentence(kind: type[BaseModel], entry: Any) -> str:
    if entry["type"] == "extra_forbidden":
        holder = next((part for part in reversed(entry["loc"][:-1]) if part in ("groups", "models")), None)
        owner = GroupSettings if holder == "groups" else ModelSettings if holder == "models" else kind
        return f"unknown key; known here: {', '.join(owner.model_fields)}"
    if entry["type"] == "missing":
        return "is missing"
    message = str(entry["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
