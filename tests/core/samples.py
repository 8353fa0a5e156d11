"""A contract to vary."""

import msgspec

from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import ActionSpec, CameraSpec, GoldenSample, Normalisation, PolicySpec, StateSpec


def spec(**changes) -> PolicySpec:
    """Two joints, three state inputs, two cameras, chunks of three rows; ``changes`` replace fields."""
    whole = PolicySpec(
        name="arm",
        chunk_length=3,
        dt_ns=20_000_000,
        actions=(ActionSpec("lift", "m", 0.0, 0.4), ActionSpec("turn", "rad", -3.0, 3.0)),
        state=(StateSpec("lift.position", "m"), StateSpec("turn.position", "rad"), StateSpec("force", "none")),
        cameras=(CameraSpec("front", 4, 6), CameraSpec("wrist", 5, 3, resize="area")),
        instruction=InstructionEncoding("sha1_mod", 256, ("pick the plum", "go home")),
        head="continuous",
        normalisation=Normalisation((0.2, 0.0, 5.0), (0.1, 1.5, 2.0), (0.2, 0.0), (0.1, 1.5)),
        golden=GoldenSample("go home", ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6)), 1e-4),
    )
    return msgspec.structs.replace(whole, **changes)
