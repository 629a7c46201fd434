"""Tools and output schemas: recorded on the router, replayed on the model that was chosen.

Each model keeps its own best method that way: one answers a schema natively, another through a tool call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import Runnable, RunnableBinding

from modelsat.request.exclusion import Exclusion

OPERATION_KEY = "modelsat_operation"
"""The keyword under which a recorded operation is bound to the router."""


@dataclass(frozen=True)
class Operation:
    """A call of ``bind_tools`` or ``with_structured_output`` that waits for its model.

    Attributes:
        method: The method to call.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """

    method: Literal["bind_tools", "with_structured_output"]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def replay(self, model: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """Do on ``model`` what was asked of the router."""
        runnable: Runnable[LanguageModelInput, Any] = getattr(model, self.method)(*self.args, **self.kwargs)
        return runnable

    def excluded(self, models: Mapping[str, BaseChatModel]) -> dict[str, Exclusion]:
        """The routes that cannot do it, with the reason for each.

        Raises:
            NotImplementedError: No route can.
        """
        able = can_call_tools if self.method == "bind_tools" else can_structure
        why = Exclusion("ability", f"has no {self.method}")
        out = {name: why for name, model in models.items() if not able(model)}
        if len(out) == len(models):
            raise NotImplementedError(f"none of the routes supports {self.method}: {', '.join(models)}")
        return out


@dataclass(frozen=True)
class Call:
    """What one call asks of the router.

    Attributes:
        operation: What to replay on the chosen model.
        excluded: Routes that cannot be chosen, with the reason for each.
        route: The route that the caller forces with ``model=``.
        kwargs: What is handed on to the chosen model.
    """

    operation: Operation | None
    excluded: Mapping[str, Exclusion]
    route: str | None
    kwargs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        models: Mapping[str, BaseChatModel],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        refusing: Callable[[Mapping[str, Any]], Mapping[str, Exclusion]] = lambda kwargs: {},
    ) -> Call:
        """Sort the keyword arguments of a call.

        Args:
            models: The routes.
            stop: Where the answer stops.
            kwargs: The keyword arguments.
            refusing: The routes that refuse one of them.
        """
        kept = dict(kwargs)
        operation: Operation | None = kept.pop(OPERATION_KEY, None)
        if stop is not None:
            kept["stop"] = stop
        named = kept.get("model")
        route: str | None = kept.pop("model") if isinstance(named, str) and named in models else None
        unable = operation.excluded(models) if operation else {}
        unfit = {name: why for name, why in refusing(kept).items() if name not in unable}
        if len(unable) + len(unfit) == len(models):
            unfit = {}
        return cls(operation, {**unfit, **unable}, route, kept)

    def prepare(self, model: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """The chosen model, ready to run."""
        return self.operation.replay(model) if self.operation else model


class RouterBinding(RunnableBinding[LanguageModelInput, Any]):
    """A router with keyword arguments or a config bound to it, which tools and output schemas leave in place."""

    @classmethod
    def lc_id(cls) -> list[str]:
        """The name of the base class: at run time this is a ``RunnableBinding``."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind_tools(self, *args: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """``bind_tools`` of the router; what was bound before stays bound."""
        return self._keeping(getattr(self.bound, "bind_tools")(*args, **kwargs))  # noqa: B009

    def with_structured_output(self, *args: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """``with_structured_output`` of the router; what was bound before stays bound."""
        return self._keeping(getattr(self.bound, "with_structured_output")(*args, **kwargs))  # noqa: B009

    def _keeping(self, recorded: RunnableBinding[LanguageModelInput, Any]) -> Runnable[LanguageModelInput, Any]:
        return self.bind(**recorded.kwargs)


def can_call_tools(model: BaseChatModel) -> bool:
    """Whether tools can be bound to ``model``; taken on trust where its profile says nothing."""
    if type(model).bind_tools is BaseChatModel.bind_tools:
        return False
    return (model.profile or {}).get("tool_calling") is not False


def can_structure(model: BaseChatModel) -> bool:
    """Whether ``model`` can answer in a schema, natively or through a tool call."""
    return type(model).with_structured_output is not BaseChatModel.with_structured_output or can_call_tools(model)
