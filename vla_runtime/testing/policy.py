"""What every policy must do."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.protocols import Policy
from vla_runtime.core.types import F32, Continuation

__all__ = ["PolicyContract"]


class PolicyContract:
    """Inherit and provide ``make``, which opens the same policy file each time."""

    def make(self) -> Policy:
        """The policy, freshly opened."""
        raise NotImplementedError

    def test_it_meets_the_protocol(self) -> None:
        with closing(self.make()) as policy:
            assert isinstance(policy, Policy)
            policy.spec.check()

    def test_the_hash_names_the_file(self) -> None:
        with closing(self.make()) as policy, closing(self.make()) as again:
            assert policy.hash
            assert policy.hash == again.hash

    def test_chunks_have_the_contracts_shape(self) -> None:
        with closing(self.make()) as policy:
            for variant in range(3):
                chunk = self._chunk(policy, variant)
                assert chunk.shape == (policy.spec.chunk_length, len(policy.spec.actions))
                assert chunk.dtype == np.float32
                assert np.isfinite(chunk).all()

    def test_every_trained_instruction_gives_a_chunk(self) -> None:
        with closing(self.make()) as policy:
            for text in policy.spec.instruction.texts:
                assert np.isfinite(self._chunk(policy, 0, text)).all()

    def test_the_same_input_gives_the_same_chunk(self) -> None:
        with closing(self.make()) as policy:
            first = self._chunk(policy, 0).copy()
            self._chunk(policy, 1)
            assert np.array_equal(self._chunk(policy, 0), first)

    def test_it_gives_its_golden_sample(self) -> None:
        with closing(self.make()) as policy:
            golden = policy.spec.golden
            assert golden is not None, "the policy file holds no golden sample"
            found = self._chunk(policy, 0, golden.instruction)
            assert np.abs(found - np.array(golden.actions)).max() <= golden.tolerance

    def test_inputs_are_left_as_they_were(self) -> None:
        with closing(self.make()) as policy:
            images, state = golden_images(policy.spec), golden_state(policy.spec)
            policy.infer(images, state, policy.spec.instruction.encode(policy.spec.instruction.texts[0]))
            assert np.array_equal(state, golden_state(policy.spec))
            for name, image in golden_images(policy.spec).items():
                assert np.array_equal(images[name], image)

    def test_the_same_seed_gives_the_same_chunk_and_another_another(self) -> None:
        """Another one only where the policy says that it samples."""
        with closing(self.make()) as policy:
            if self._is_told(policy):
                first, other = self._chunk(policy, 0, seed=1).copy(), self._chunk(policy, 0, seed=2).copy()
                assert np.array_equal(self._chunk(policy, 0, seed=1), first)
                assert np.array_equal(first, other) is not getattr(policy, "samples", False)

    def test_a_plan_that_binds_no_row_changes_nothing(self) -> None:
        """Bit for bit, where the policy says that it keeps to what is committed."""
        with closing(self.make()) as policy:
            if getattr(policy, "rtc", "off") != "off":
                free = self._chunk(policy, 0, seed=3).copy()
                told = self._continuation(policy, delay=0, bound=0.0)
                assert np.array_equal(self._chunk(policy, 0, seed=3, continuation=told), free)

    def test_the_rows_before_the_delay_are_those_that_are_committed(self) -> None:
        """Within the golden sample's tolerance, where the policy holds them (``rtc`` prefix or both)."""
        with closing(self.make()) as policy:
            if getattr(policy, "rtc", "off") in ("prefix", "both"):
                assert policy.spec.golden is not None
                for delay in range(policy.spec.chunk_length):
                    told = self._continuation(policy, delay, bound=1.0)
                    found = self._chunk(policy, 0, seed=3, continuation=told)
                    apart = np.abs(found[:delay] - told.prev_chunk[:delay])
                    assert apart.max(initial=0.0) <= policy.spec.golden.tolerance

    def _continuation(self, policy: Policy, delay: int, bound: float) -> Continuation:
        """Committed: what the policy wants where it is shown something else."""
        rows = policy.spec.chunk_length
        weights = np.where(np.arange(rows) < delay, 1.0, 0.5 * bound).astype(np.float32)
        return Continuation(self._chunk(policy, 1).copy(), delay, weights)

    def _is_told(self, policy: Policy) -> bool:
        return getattr(policy, "samples", False) or getattr(policy, "continues", False)

    def _chunk(self, policy: Policy, variant: int, instruction: str | None = None, **more: Any) -> F32:
        spec = policy.spec
        text = spec.instruction.texts[0] if instruction is None else instruction
        images, state = golden_images(spec, variant), golden_state(spec, variant)
        return policy.infer(images, state, spec.instruction.encode(text), **more)
