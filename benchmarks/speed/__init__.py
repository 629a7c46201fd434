"""What the benchmarks of speed share: prompts, turns, machines, the routers beside ours."""
