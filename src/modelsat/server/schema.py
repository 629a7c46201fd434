"""Requests and answers of the server, with the examples of its OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from modelsat.request.constraints import Constraints
from modelsat.request.context import RequestContext

Name = Annotated[str, Field(min_length=1, max_length=500)]
Text = Annotated[str, Field(min_length=1)]
_MOST_STATEMENTS = 500
"""Capability statements of one definition; the largest shipped profile has a fifth of that."""
_MOST_DESCRIPTIONS = 1_000
"""Different task descriptions in one request, each of which costs a pass of the network."""
_MOST_CHARACTERS = 100_000
"""Characters of all those descriptions; the whole registry has a seventh of that."""
_LONGEST_DESCRIPTION = 1_000
"""Characters of a task description."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

_MESSAGE: dict[str, JsonValue] = {"role": "user", "content": "Prove that every finite integral domain is a field."}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ChatMessage(BaseModel):
    """One message, as OpenAI-style clients send it; fields that routing does not read are let through."""

    model_config = ConfigDict(extra="allow")

    role: str = Field(min_length=1, description="`user`, `assistant`, `system`, `tool`, ...")
    content: str | list[str | dict[str, Any]] | None = Field(default=None, description="Text, or a list of parts.")


class RouteRequest(_Body):
    """A request to be routed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [_MESSAGE]},
                {"messages": "Why is the sky blue?", "constraints": {"max_usd_per_request": 0.01}},
            ]
        }
    )

    messages: Text | Annotated[list[ChatMessage], Field(min_length=1)] = Field(
        description="The prompt, or the conversation so far."
    )
    candidates: list[Name] | None = Field(
        default=None, min_length=1, description="Names to choose from this time; all if left out."
    )
    tools: list[dict[str, Any]] = Field(default_factory=list, max_length=1000, description="Tool definitions.")
    parallel_tools: bool = Field(default=False, description="Several tools may be called in one answer.")
    response_format: dict[str, Any] | None = Field(default=None, description="A JSON schema, or a demand for JSON.")
    reasoning: bool = Field(default=False, description="The answer needs a model that reasons.")
    answer_tokens: int | None = Field(
        default=None, ge=1, le=10_000_000, description="Limit on the answer (`max_tokens`), reserved in the window."
    )
    thread: str | None = Field(default=None, max_length=500, description="The conversation, for sticky policies.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="What residency rules look at.")
    constraints: dict[str, Any] | None = Field(
        default=None, description="Constraints on this request, on top of the server's own."
    )
    cache: bool = Field(default=True, description="Take scores that were kept; `false` scores again and keeps nothing.")

    @field_validator("constraints")
    @classmethod
    def _constraints_are_known(cls, constraints: dict[str, Any] | None) -> dict[str, Any] | None:
        if constraints is not None and not constraints.keys() <= Constraints.model_fields.keys():
            raise ValueError(f"there is an unknown field; known: {', '.join(Constraints.model_fields)}")
        return constraints

    def plain(self) -> str | list[dict[str, Any]]:
        """The messages as the router takes them."""
        return self.messages if isinstance(self.messages, str) else [entry.model_dump() for entry in self.messages]

    def context(self) -> RequestContext:
        """What comes with the messages.

        Raises:
            ConfigurationError: The constraints make no sense.
        """
        given = self.model_dump(exclude={"messages", "candidates", "constraints", "cache"})
        return RequestContext(
            **given, constraints=None if self.constraints is None else Constraints.of(self.constraints)
        )


class ScoreRequest(_Body):
    """Texts to be scored, each for every profile."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"instructions": ["Why is the sky blue?", "Integrate x·eˣ from 0 to 1."]}]}
    )

    instructions: list[Text] = Field(min_length=1, description="Texts, scored as they are.")
    candidates: list[Name] | None = Field(
        default=None, min_length=1, description="Names of this server's candidates; all of them if left out."
    )
    profiles: list[Digest] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Digests of profiles in place of `candidates`; those the server lacks are named in a 404.",
    )
    definitions: list[dict[str, Any]] = Field(
        default_factory=list, max_length=1000, description="Profiles that the server may not know yet."
    )

    @field_validator("definitions")
    @classmethod
    def _definitions_are_bounded(cls, definitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        described: set[str] = set()
        for definition in definitions:
            statements = definition.get("statements")
            if not isinstance(statements, list):
                continue  # not a profile, which is said when it is read
            if len(statements) > _MOST_STATEMENTS:
                raise ValueError(f"a profile may hold {_MOST_STATEMENTS} statements at most, not {len(statements)}")
            for statement in filter(lambda entry: isinstance(entry, dict), statements):
                words = str(statement.get("description") or statement.get("task"))
                if len(words) > _LONGEST_DESCRIPTION:
                    raise ValueError(f"a task is described in {_LONGEST_DESCRIPTION:,} characters at most")
                described.add(words)
        if (characters := sum(map(len, described))) > _MOST_CHARACTERS:
            raise ValueError(
                f"{characters:,} characters describe these tasks, {_MOST_CHARACTERS:,} are read in one request: "
                "describe them in keywords, or define fewer profiles at a time"
            )
        if len(described) > _MOST_DESCRIPTIONS:
            raise ValueError(
                f"{len(described):,} different tasks are more than the {_MOST_DESCRIPTIONS:,} of one request: "
                "define fewer profiles at a time"
            )
        return definitions

    @model_validator(mode="after")
    def _one_way_to_name_them(self) -> ScoreRequest:
        if self.candidates is not None and self.profiles is not None:
            raise ValueError("give either candidates or profiles")
        return self


class ScoreResponse(BaseModel):
    """P(success) of every text for every profile."""

    weights: str = Field(description="Version of the weights.")
    names: list[str] = Field(description="Candidates or digests, in the order of the columns.")
    scores: list[list[float]] = Field(description="P(success), a row for each text.")
    fields: list[str] = Field(description="Fields of knowledge that the weights tell apart; none if they know none.")
    shares: list[list[float]] = Field(description="Share of each field, a row for each text; none without fields.")


class ModelEntry(BaseModel):
    """A candidate."""

    id: str = Field(description="The name that decisions carry.")
    object: Literal["model"] = "model"
    model: str = Field(description="The model that the profile describes.")
    profile: str = Field(description="Digest of the capability profile.")
    statements: int = Field(description="Number of its capability statements.")
    facts: dict[str, Any] = Field(description="Prices, limits and abilities, as far as they are known.")


class ModelList(BaseModel):
    """The candidates of this server."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]
    versions: dict[str, str]


class FeedbackRequest(_Body):
    """How good the answer was that a decision led to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"decision_id": "5f0c1f0e7e0b4d0a8d6c1b2a3f4e5d6c", "score": 1.0}]}
    )

    decision_id: str = Field(min_length=1, max_length=200, description="`id` of the decision.")
    score: float = Field(ge=0.0, le=1.0, allow_inf_nan=False, description="0 (useless) to 1 (good).")
    source: str = Field(
        default="user", pattern=r"^\w[\w .:-]{0,99}$", description="Who says so: `user`, `judge`, `test`."
    )


class Accepted(BaseModel):
    """Taken note of."""

    status: Literal["accepted"] = "accepted"


class FeedbackHealth(BaseModel):
    """How keeping feedback does; counts are of this process."""

    usable: bool = Field(description="Whether the store can be used now; the log says why not.")
    waiting: int = Field(description="Records that wait to be written.")
    dropped: int = Field(description="Records lost to a full queue.")
    set_aside: int = Field(description="Records that could not be written, kept apart.")
    unreadable: int = Field(description="Records of the store that could not be read, passed over.")
    last_success: float | None = Field(description="Last write, in seconds since the epoch.")


class Health(BaseModel):
    """Whether the server lives, or is ready."""

    status: Literal["ok", "ready"]
    weights: str = ""
    feedback: FeedbackHealth | None = None
