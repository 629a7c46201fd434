"""The workshop: makes and measures profiles, policies and weights. What decides a request never imports it."""
