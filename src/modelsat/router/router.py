"""The router: one front door from messages to a decision."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from modelsat.candidates.candidate import Candidate, Candidates, resolve_candidates
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.inference.base import resolve_cache
from modelsat.policies import Policy
from modelsat.policies.resolve import read_if_file, weights_for
from modelsat.request.constraints import Constraints
from modelsat.request.context import RequestContext
from modelsat.request.conversation import last_user_turn_with_tail
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.router.arms import ELSEWHERE, Arms
from modelsat.router.config import RouterConfig, RouterOptions
from modelsat.router.decision import RoutingDecision
from modelsat.router.fallback import Fallback
from modelsat.router.learning import Learning
from modelsat.router.pipeline import Contexts, Pipeline, read_batch
from modelsat.router.plan import Planner
from modelsat.router.rules import Ruler, resolve_rules
from modelsat.router.scoring import Engine

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
        self._stand_in = config.fallback if config.shadow in (None, ELSEWHERE) else config.shadow
        self._candidates = known = resolve_candidates(
            candidates, registry, config.facts, self._stand_in, config.unknown_models
        )
        policy = read_if_file(config.policy)
        self._rules = resolve_rules(policy, config.constraints, known, config.rules)
        self._weights = weights_for(config.weights, policy)
        cache, fitted_to = resolve_cache(config.cache), self._rules.fitted_to
        self._engine = Engine(known, self._weights, config.scorer, config.cache_dir, cache, fitted_to)
        reader = EnvelopeReader(config.envelopes)
        extractor = config.extractor or last_user_turn_with_tail
        planner = Planner(known, self._rules.constraints, extractor, reader)
        self._fallback = Fallback(self._stand_in, planner, known, config.facts)
        self._learning = None
        if config.feedback is not None:
            from modelsat.feedback.loop import resolve_feedback

            loop = resolve_feedback(config.feedback)
            self._learning = None if loop is None else Learning(loop, known)
        self._ruler = Ruler(config.rules, known, reader, planner) if config.rules else None
        self._pipeline = Pipeline(
            known,
            self._rules,
            planner,
            self._engine,
            None if self.fallback is None else self._fallback,
            self._learning,
            self._ruler,
            Arms.of(config, self.names),
        )

    def __reduce__(self) -> tuple[type[Router], tuple[Any, ...]]:
        """Pickled as candidates and options: it loads its weights again where it lands, and opens its own store."""
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
        about = f"policy={self.policy.name!r}, weights={self._engine.version!r}"
        return f"Router({len(self._candidates)} candidates, {about})"

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
        return tuple([candidate.name for candidate in self._candidates])

    @property
    def fallback(self) -> str | None:
        """The model named when routing fails, the shadow's where there is one; ``None`` if failures raise."""
        return None if self._config.strict else self._stand_in

    @property
    def weights(self) -> str:
        """Name or folder of the weights, as given or chosen; what they turned out to be is in :attr:`versions`."""
        return str(self._weights)

    @property
    def policy(self) -> Policy:
        """The policy that chooses."""
        return self._rules.policy

    def policy_of(self, decision: RoutingDecision) -> Policy:
        """The policy that made a decision of this router: that of its arm in an experiment."""
        return self._pipeline.policy_of(decision.arm)

    def answered(self, decision: RoutingDecision, model: str) -> None:
        """Say who answered where the router only decides and who answers is chosen elsewhere; others are kept already.

        Args:
            decision: A decision of this router.
            model: The candidate that answered. Of another model, nothing is kept.
        """
        if self._learning is not None:
            self._learning.answered(decision.id, model)

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
        return self._pipeline.versions()

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
            cache: ``False`` scores this request again and keeps nothing of it, whatever the router's own ``cache`` is.

        Raises:
            InvalidRequestError: There is nothing to score (without a fallback, as all that follow).
            UnknownModelError: ``candidates`` holds a name the router does not know.
            CheckpointError: The weights cannot be used.
            ScoringError: The network returned something that is not a probability.
            NoCandidateError: Constraints and needs leave no candidate; the text names each one's reason.
            RoutingError: Anything else failed.
        """
        (outcome,) = self._pipeline.decide(read_batch([messages], context), candidates, cache=cache)
        if isinstance(outcome, ModelSATError):
            raise outcome
        return outcome

    async def aroute(
        self,
        messages: Any,
        *,
        candidates: Sequence[str] | None = None,
        context: RequestContext | None = None,
        cache: bool = True,
    ) -> RoutingDecision:
        """:meth:`route` in a worker thread: the event loop is never blocked by the network."""
        import asyncio

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
            cache: ``False`` scores the batch again and keeps nothing of it.

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
        return self._pipeline.decide(read_batch(batch, contexts), candidates, cache=cache)

    async def aroute_batch(
        self,
        batch: Sequence[Any],
        *,
        candidates: Sequence[str] | None = None,
        contexts: Contexts = None,
        cache: bool = True,
    ) -> list[RoutingDecision]:
        """:meth:`route_batch` in a worker thread: the event loop is never blocked by the network."""
        import asyncio

        return await asyncio.to_thread(self.route_batch, batch, candidates=candidates, contexts=contexts, cache=cache)

    def excluded(self, messages: Any, *, context: RequestContext | None = None) -> dict[str, Exclusion]:
        """:meth:`exclusions` of all candidates."""
        return self.exclusions(messages, context=context)

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
        if self._ruler is not None:
            context = self._ruler.narrow(messages, context, candidates).context
        return self._fallback.able(messages, context, candidates)[0]

    def feedback(self, decision_id: str, score: float, source: str = "user") -> None:
        """Say how good the answer to a decision was; the scores of later decisions are corrected by it.

        Waits for the store, at most two seconds; decisions never do.

        Args:
            decision_id: ``decision.id``.
            score: 0 (bad) to 1 (good).
            source: Who says so: ``"user"``, ``"judge"``, ``"test"``, ...

        Raises:
            ConfigurationError: The router was made without ``feedback=``.
            InvalidFeedbackError: The score is not a number in 0..1.
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
        import asyncio

        await asyncio.to_thread(self.feedback, decision_id, score, source)

    def warmup(self) -> None:
        """Load the weights, encode the candidates' profiles and run the network once: the first request is quick then.

        Failures raise here, even if there is a fallback.

        Raises:
            CheckpointError: The weights cannot be used.
            ScoringError: The network returned something that is not a probability.
        """
        self._pipeline.warmup()
