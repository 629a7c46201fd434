"""The page of ``modelsat serve``: try a request, watch decisions, replay them, look at models.

Rendered on the server with Jinja; htmx swaps parts of it. Nothing is loaded from elsewhere, and no script or style
stands in the page itself, so that its content security policy allows neither.
"""
