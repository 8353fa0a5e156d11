"""Where parts become a run: configs, checks, wiring, the host, replay. The CLI is a thin shell around this."""
