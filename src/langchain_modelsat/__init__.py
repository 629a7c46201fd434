"""Model-SAT for LangChain."""
