"""Robot-side control runtime for Vision-Language-Action chunk policies.

Start reading at ``vla_runtime/control/loop.py``; ``docs/architecture.md`` draws the whole.
"""

__version__ = "0.1.0"
