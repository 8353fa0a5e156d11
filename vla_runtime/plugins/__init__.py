"""Everything that touches the outside world: cameras, robots, policies, planners, hosted devices."""
