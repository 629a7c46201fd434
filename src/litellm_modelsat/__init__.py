"""Model-SAT for LiteLLM: a routing strategy for the SDK, and a ranking callback for the proxy."""
