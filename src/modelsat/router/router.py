"""The router: one front door from messages to a decision."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from modelsat.candidates.candidate import Candidate, Candidates, resolve_candidates
from modelsat.candidates.completion import default_completion
from modelsat.errors import ConfigurationError, ModelSATError, RoutingError
from modelsat.inference.base import TextScores
from modelsat.inference.cache import resolve_cache
from modelsat.policies import Policy
from modelsat.policies.policy_file import read_if_file, weights_for
from modelsat.request.constraints import Constraints
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.conversation import last_user_turn_with_tail
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.router import tracing
from modelsat.router.batch import Contexts, Request, read_batch
from modelsat.router.config import RouterConfig, RouterOptions
from modelsat.router.decision import RoutingDecision
from modelsat.router.engine import Engine
from modelsat.router.fallback import Fallback
from modelsat.router.learning import Learning
from modelsat.router.plan import Plan, Planner, Selection, scored, select
from modelsat.router.rules import profiles_version, resolve_rules
from modelsat.router.selection import selection_of

if TYPE_CHECKING:
    from modelsat.capability.registry import Registry
    from modelsat.feedback.loop import FeedbackState


class Router:
    """Decides before any model runs which candidate will answer a request well.

    Thread-safe and safe to share between event loops. Weights load at first use, once; :meth:`warmup` does it ahead of
    time. Copied and pickled (for a pool of processes) as what it was made of.

    Args:
        candidates: Model names of the registry, capability profiles or :class:`Candidate` objects; or a mapping
            ``{name of the choice: model name or profile}``.
        config: The options, as :class:`RouterConfig` or a mapping of its fields.
        registry: Where model names are looked up; the shipped registry if not given.
        **options: The fields of :class:`RouterConfig`, which says what each does; they go before ``config``.

    Raises:
        ConfigurationError: No candidates, a name twice, an unknown option or policy, contradictory constraints, a
            missing price that the policy needs, or a blank fallback.
        UnknownModelError: A model name is not in the registry.
    """

    def __init__(
        self,
        candidates: Candidates,
        config: RouterConfig | Mapping[str, Any] | None = None,
        *,
        registry: Registry | None = None,
        **options: Unpack[RouterOptions],
    ) -> None:
        self._config = config = RouterConfig.merged(config, options)
        known = registry, config.facts, config.fallback, config.unknown_models
        self._candidates = resolve_candidates(candidates, *known)
        self._names = tuple(candidate.name for candidate in self._candidates)
        self._everyone = Selection(tuple(range(len(self._names))), {})
        self._positions = {name: position for position, name in enumerate(self._names)}
        self._profiles_version = profiles_version(self._candidates)
        policy = read_if_file(config.policy)
        self._rules = resolve_rules(policy, config.constraints, self._candidates)
        self._policy = self._rules.policy
        reading = config.extractor or last_user_turn_with_tail, EnvelopeReader(config.envelopes)
        self._planner = Planner(self._candidates, self._rules.constraints, *reading, default_completion())
        self._weights = weights_for(config.weights, policy)
        cache, fitted_to = resolve_cache(config.cache), self._rules.fitted_to
        self._engine = Engine(self._candidates, self._weights, config.scorer, config.cache_dir, cache, fitted_to)
        self._fallback = Fallback(config.fallback, self._planner, self._candidates, config.facts)
        self._learning = Learning.of(config.feedback, self._candidates)

    def __reduce__(self) -> tuple[type[Router], tuple[Any, ...]]:
        """Pickled as candidates and options: it loads its weights anew where it lands, and opens its own store."""
        given = self._config.feedback
        if given is not None and not isinstance(given, (str, os.PathLike, Mapping)):
            raise ConfigurationError(
                "a router whose feedback store is open cannot go to another process: name the store's file or address, "
                "e.g. Router(..., feedback='feedback.sqlite')"
            )
        return Router, (self._candidates, self._config)

    def __deepcopy__(self, memo: dict[int, Any]) -> Router:
        """Another router of the same options; what they hold (scorer, cache, store, policy) is shared."""
        return Router(self._candidates, self._config)

    def __repr__(self) -> str:
        return f"Router({len(self._names)} candidates, policy={self._policy.name!r}, weights={self._engine.version!r})"

    @property
    def config(self) -> RouterConfig:
        """The options that this router was made with."""
        return self._config

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, in the order given."""
        return self._candidates

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates' names, in the order given."""
        return self._names

    @property
    def fallback(self) -> str | None:
        """The model named when routing fails; ``None`` if failures raise."""
        return None if self._config.strict else self._config.fallback

    @property
    def weights(self) -> str:
        """Name or folder of the weights, as given or chosen; what they turned out to be is in :attr:`versions`."""
        return str(self._weights)

    @property
    def policy(self) -> Policy:
        """The policy that chooses."""
        return self._policy

    @property
    def constraints(self) -> tuple[Constraints, ...]:
        """What no policy may overrule, out of a policy file and given: all of them hold."""
        return self._rules.constraints

    @property
    def fallbacks(self) -> Counter[str]:
        """How often the fallback was taken, by class of error; a copy."""
        return self._fallback.counts

    @property
    def versions(self) -> dict[str, str]:
        """What decides.

        ``weights`` (the plain name until they are loaded), ``profiles`` (names and figures), and ``policy`` (its
        parameters, the constraints and the candidates' facts).
        """
        return {
            "weights": self._engine.version,
            "profiles": self._profiles_version,
            "policy": self._rules.version,
        }

    def route(
        self,
        messages: Any,
        *,
        candidates: Sequence[str] | None = None,
        context: RequestContext | None = None,
        cache: bool = True,
    ) -> RoutingDecision:
        """Decide which candidate answers ``messages``.

        Args:
            messages: A string, an OpenAI-style message or a list of them, LangChain messages or a prompt value.
            candidates: Names to choose from this time; the others are listed as excluded. All if not given.
            context: What comes with the messages: tools, a response schema, the conversation's identifier, ...
            cache: ``False`` scores this request anew and keeps nothing of it, whatever the router's own ``cache`` is.

        Raises:
            InvalidRequestError: There is nothing to score (without a fallback, as all that follow).
            UnknownModelError: ``candidates`` holds a name the router does not know.
            CheckpointError: The weights cannot be used.
            ScoringError: The network returned something that is not a probability.
            NoCandidateError: Constraints and needs leave no candidate; the text names each one's reason.
            RoutingError: Anything else failed.
        """
        return self.route_batch([messages], candidates=candidates, contexts=context, cache=cache)[0]

    async def aroute(
        self,
        messages: Any,
        *,
        candidates: Sequence[str] | None = None,
        context: RequestContext | None = None,
        cache: bool = True,
    ) -> RoutingDecision:
        """:meth:`route` in a worker thread: the event loop is never blocked by the network."""
        return await asyncio.to_thread(self.route, messages, candidates=candidates, context=context, cache=cache)

    def route_batch(
        self,
        batch: Sequence[Any],
        *,
        candidates: Sequence[str] | None = None,
        contexts: Contexts = None,
        cache: bool = True,
    ) -> list[RoutingDecision]:
        """Decide for many requests with one call of the scorer.

        A request that cannot be scored takes the fallback by itself; the others are scored as ever. Without a fallback
        it raises. ``elapsed_ms`` of each decision is the time since the batch came in.

        Args:
            batch: Requests, each as :meth:`route` takes them.
            candidates: Names to choose from this time, for the whole batch. All if not given.
            contexts: What comes with each request: a list as long as the batch, or one context for all of it.
            cache: ``False`` scores the batch anew and keeps nothing of it.

        Raises:
            InvalidRequestError: As :meth:`route`, with its other errors.
        """
        decided = self.route_each(batch, candidates=candidates, contexts=contexts, cache=cache)
        decisions = [outcome for outcome in decided if isinstance(outcome, RoutingDecision)]
        if len(decisions) < len(decided):
            raise next(outcome for outcome in decided if isinstance(outcome, ModelSATError))
        return decisions

    def route_each(
        self,
        batch: Sequence[Any],
        *,
        candidates: Sequence[str] | None = None,
        contexts: Contexts = None,
        cache: bool = True,
    ) -> list[RoutingDecision | ModelSATError]:
        """:meth:`route_batch`, with failures in the places of their requests instead of raised.

        Raises:
            InvalidRequestError: ``batch`` is not a list, or there are not as many contexts as requests.
        """
        started = time.perf_counter()
        requests = read_batch(batch, contexts)
        self._plan(requests, candidates)
        self._decide(requests, cache, started)
        for request in requests:
            if isinstance(request.outcome, ModelSATError) and self.fallback is not None:
                request.outcome = self._fall_back(request, request.outcome, candidates, started)
        if (tracer := tracing.tracer()) is not None:
            for request in requests:
                within = request.context.trace if isinstance(request.context, RequestContext) else None
                tracing.record(tracer, request.outcome, started, within)
        return [request.outcome for request in requests if request.outcome is not None]

    async def aroute_batch(
        self,
        batch: Sequence[Any],
        *,
        candidates: Sequence[str] | None = None,
        contexts: Contexts = None,
        cache: bool = True,
    ) -> list[RoutingDecision]:
        """:meth:`route_batch` in a worker thread: the event loop is never blocked by the network."""
        return await asyncio.to_thread(self.route_batch, batch, candidates=candidates, contexts=contexts, cache=cache)

    @property
    def learning(self) -> FeedbackState | None:
        """How keeping and learning from feedback does, and which models drifted; ``None`` without ``feedback=``."""
        return self._learning.loop.state if self._learning is not None else None

    def exclusions(
        self, messages: Any, *, candidates: Sequence[str] | None = None, context: RequestContext | None = None
    ) -> dict[str, Exclusion]:
        """Who may not answer ``messages``, with the reason for each; nothing is scored.

        Args:
            messages: As :meth:`route` takes them. Those that cannot be read exempt nobody from what is forbidden.
            candidates: Names to look at this time. All if not given.
            context: As :meth:`route` takes it.

        Raises:
            ConfigurationError: The context cannot be read.
        """
        return self._fallback.able(Request(messages, context), candidates)[0]

    def feedback(self, decision_id: str, score: float, source: str = "user") -> None:
        """Say how good the answer to a decision was; the scores of later decisions are corrected by it.

        Waits for the store, at most two seconds; decisions never do.

        Args:
            decision_id: ``decision.id``.
            score: 0 (bad) to 1 (good).
            source: Who says so: ``"user"``, ``"judge"``, ``"test"``, ...

        Raises:
            ConfigurationError: The router was made without ``feedback=``.
            InvalidFeedbackError: The score is no number in 0..1.
            UnknownDecisionError: The store does not hold the decision.
            DuplicateFeedbackError: There is feedback on it already; the first counts.
            FeedbackStoreError: The store cannot be used and its queue is full: nothing was recorded.
        """
        if self._learning is None:
            raise ConfigurationError(
                "this router keeps no feedback: give it a store, e.g. Router(..., feedback='feedback.sqlite')"
            )
        self._learning.loop.give(decision_id, score, source)

    async def afeedback(self, decision_id: str, score: float, source: str = "user") -> None:
        """:meth:`feedback` in a worker thread."""
        await asyncio.to_thread(self.feedback, decision_id, score, source)

    def warmup(self) -> None:
        """Load the weights, encode the candidates' profiles and run the network once: the first request is quick then.

        Failures raise here, even if there is a fallback.

        Raises:
            CheckpointError: The weights cannot be used.
            ScoringError: The network returned something that is not a probability.
        """
        self._engine.score(["Hello"], self._everyone.indices)

    def _plan(self, requests: Sequence[Request], candidates: Sequence[str] | None) -> None:
        """Give every request its plan."""
        for request in requests:
            try:
                selection = self._everyone if candidates is None else select(self._names, candidates)
                request.plan = self._planner.plan(request.messages, request.context, selection)
            except Exception as error:
                request.fail(error)

    def _decide(self, requests: Sequence[Request], cache: bool, started: float) -> None:
        """Score all that have a plan with one call, and give each its decision."""
        planned = [(request, request.plan) for request in requests if request.plan is not None]
        if not planned:
            return
        try:
            reads = self._score([plan for _, plan in planned], cache)
        except Exception as error:
            for request, _ in planned:
                request.fail(error)
            return
        for (request, plan), read in zip(planned, reads, strict=True):
            try:
                request.outcome = self._choose(plan, read, started)
            except Exception as error:
                request.fail(error)

    def _score(self, plans: Sequence[Plan], cache: bool) -> list[TextScores]:
        """P(success) of each plan's candidates, from one call of the scorer for all candidates that any plan has."""
        union = plans[0].indices
        if any(plan.indices != union for plan in plans):
            union = tuple(sorted({index for plan in plans for index in plan.indices}))
        found = self._engine.score([plan.text for plan in plans], union, cache)
        column = {index: position for position, index in enumerate(union)}
        return [
            read if plan.indices == union else read._replace(p=[read.p[column[index]] for index in plan.indices])
            for plan, read in zip(plans, found, strict=True)
        ]

    def _choose(self, plan: Plan, read: TextScores, started: float) -> RoutingDecision:
        if (selection := selection_of(read.version, self._policy)) is not None:
            read = read._replace(p=selection.correct(read.p))
        view = None if self._learning is None else self._learning.view(plan, read)
        ranked = scored(plan, self._candidates, read.p if view is None else view.decide_on)
        choice = self._policy.choose(ranked, plan.request)
        known = {candidate.name for candidate in ranked}
        if stray := [name for name in (choice.name, *choice.escalation) if name not in known]:
            raise RoutingError(
                f"policy {self._policy.name!r} chose {stray[0]!r}, which is not among the scored candidates"
            )
        decision = RoutingDecision(
            model=choice.name,
            effort=self._candidates[self._positions[choice.name]].effort,
            scores={candidate.name: candidate.score for candidate in ranked},
            costs={candidate.name: candidate.cost for candidate in ranked if candidate.cost is not None},
            excluded={**plan.excluded, **choice.excluded} if choice.excluded else plan.excluded,
            policy=self._policy.name,
            reason=choice.reason,
            notes=plan.notes,
            escalation=choice.escalation,
            threshold=choice.threshold,
            target_met=choice.target_met,
            tokens=plan.tokens(self._positions[choice.name]),
            thread=plan.request.thread,
            versions={**self.versions, "weights": read.version},
            elapsed_ms=(time.perf_counter() - started) * 1000.0,
        )
        if self._learning is None or view is None:
            return decision
        return self._learning.keep(plan, read, view, decision)

    def _fall_back(
        self, request: Request, error: ModelSATError, candidates: Sequence[str] | None, started: float
    ) -> RoutingDecision | ModelSATError:
        """The decision when ``error`` left nothing scored; an error where nobody is left who may answer."""
        found = self._fallback.answer(request, error, candidates)
        if isinstance(found, ModelSATError):
            return found
        context = request.context if isinstance(request.context, RequestContext) else NO_CONTEXT
        decision = RoutingDecision(
            model=found.model,
            effort=next((entry.effort for entry in self._candidates if entry.name == found.model), ""),
            excluded=found.excluded,
            policy=self._policy.name,
            reason=f"fallback after {found.failure.kind}",
            fallback=True,
            failure=found.failure,
            notes=found.notes,
            thread=context.thread,
            versions=self.versions,
            elapsed_ms=(time.perf_counter() - started) * 1000.0,
        )
        if self._learning is not None:
            self._learning.keep_fallback(decision, context.metadata)
        return decision
