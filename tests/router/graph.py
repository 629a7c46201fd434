"""Run by ``test_elsewhere.py``: a graph whose state holds a decision, read back from each checkpointer."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from modelsat.router import Failure, Router, RoutingDecision

ROUTER = Router(["gpt-4o-mini", "gpt-4o", "o3"], constraints={"deny_models": ["o3"]}, fallback="gpt-4o")


class State(TypedDict, total=False):
    """The question and who answers it."""

    question: str
    decision: RoutingDecision


def decide(state: State) -> State:
    """Route the question; with a failure besides, so that every field is used."""
    failed = Failure("ScoringError", "for the sake of it")
    return {"decision": ROUTER.route(state["question"]).model_copy(update={"failure": failed})}


for saver in (InMemorySaver(), SqliteSaver(sqlite3.connect(sys.argv[1], check_same_thread=False))):
    graph = StateGraph(State)
    graph.add_node("decide", decide)
    graph.add_edge(START, "decide")
    graph.add_edge("decide", END)
    app = graph.compile(checkpointer=saver)
    thread: Any = {"configurable": {"thread_id": "1"}}
    decided = app.invoke({"question": "hi"}, thread)["decision"]
    kept = app.get_state(thread).values["decision"]
    same = isinstance(kept, RoutingDecision) and kept == decided and kept.excluded["o3"].forbidden
    sys.stdout.write(f"{type(saver).__name__} {'same' if same else kept}\n")
