"""Decisions in LangSmith: python examples/trace_langsmith.py

    pip install "modelsat[langchain]" langchain-openai
    export LANGSMITH_TRACING=true LANGSMITH_API_KEY=lsv2_...
    python examples/trace_langsmith.py

LangChain traces what it runs. The router is a run, a chain, with the decision in the metadata of its answer; below it
are the decision (ModelSATSelector) and the chosen model, whose metadata say modelsat_route and modelsat_decision. The
models are those of examples/quickstart.py: a stand-in provider on the loopback interface.
"""

from __future__ import annotations

from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_openai import ChatOpenAI
from quickstart import MODELS, stand_in_provider

from langchain_modelsat import ModelSATRouter


def main() -> None:
    """Ask one question, and wait until its trace is sent."""
    with stand_in_provider() as url:
        given = {"base_url": url, "api_key": "none", "use_responses_api": False}
        models = {name: ChatOpenAI(model=name, **given) for name in MODELS}
        router = ModelSATRouter(models=models, policy="cheapest(target=0.85)")
        config = {"run_name": "support", "metadata": {"thread_id": "conversation-1"}}
        answer = router.invoke("Why is the sky blue?", config=config)
    print(answer.content)
    print(answer.response_metadata["routing_decision"]["reason"])
    wait_for_all_tracers()


if __name__ == "__main__":
    main()
