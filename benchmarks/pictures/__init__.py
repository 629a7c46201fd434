"""Pictures of the docs, each drawn twice: for light and for dark ground."""
