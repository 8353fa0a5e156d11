"""Show a policy every observation that was answered, and compare its chunks with the logged ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vla_runtime.app.contract import check_contract
from vla_runtime.app.replay.finding import Finding, logged_config
from vla_runtime.core.errors import LogError
from vla_runtime.core.protocols import Policy
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import Frame
from vla_runtime.episode.reader import Episode
from vla_runtime.plugins.planners.observe import Observer, StateReader, plan
from vla_runtime.plugins.registry import open_policy

__all__ = ["policy_for", "reinfer"]


def policy_for(file: str, episode: Episode) -> Policy:
    """Open a policy file by its suffix, to be sampled as ``episode`` was."""
    kind = "torchscript" if Path(file).suffix == ".ts" else "onnx"
    return open_policy(kind, Path(file), 1, logged_config(episode).policy.sampling)


def reinfer(episode: Episode, policy: Policy) -> Finding:
    """Show ``policy`` every observation that was answered, and compare the chunks, joint by joint.

    Raises:
        ContractMismatch: the policy is for another robot.
    """
    config = logged_config(episode)
    check_contract(policy.spec, config, episode.metadata["instruction"])
    states = StateReader([entry.name for entry in policy.spec.state], config.joint_names, config.extras)
    requests = {request.seq: request for group in episode.requests_by_tick.values() for request in group}
    # A state of the takeover was no measurement: it is made again of what was committed.
    ahead = "takeover" in (policy.spec.state_time, PolicySpec.from_json(episode.metadata["spec"]).state_time)
    finding = Finding()
    worst = np.zeros(len(config.joints))
    skipped = 0
    for group in episode.chunks_by_tick.values():
        for chunk, _ in group:
            request = requests.get(chunk.request_seq)
            if request is None or chunk.actions.shape != (policy.spec.chunk_length, len(config.joints)):
                skipped += 1
                continue
            try:
                cameras = {name: _LoggedCamera(episode, name, seq) for name, seq in chunk.frames.items()}
            except LogError:
                skipped += 1
                continue
            observer = Observer(policy.spec, cameras, states, max_age_ns=1 << 62)
            asked = request if chunk.state is None or ahead else replace(request, state=chunk.state)  # what was shown
            again = plan(policy, observer.observe(asked, request.stamp_ns), request, chunk.seq)
            error = np.abs(again.actions.astype(np.float64) - chunk.actions).max(axis=0)
            worst = np.maximum(worst, error)
            finding.compared += 1
            if again.actions.tobytes() != chunk.actions.tobytes():
                finding.differ(f"chunk {chunk.seq}: up to {error.max():.3g} apart", float(error.max()))
    finding.details["joints"] = dict(zip(config.joint_names, worst.tolist(), strict=True))
    finding.details["skipped"] = skipped
    if not finding.compared:
        raise LogError(f"{episode.path} holds no chunk whose request and frames are all there: {episode.note}")
    return finding


class _LoggedCamera:
    """A camera whose newest frame is the one that was looked at."""

    def __init__(self, episode: Episode, name: str, seq: int) -> None:
        self.name = name
        self._frame = episode.frame(name, seq).frame()

    def latest(self) -> Frame:
        return self._frame

    def close(self) -> None:
        """Nothing to release."""
