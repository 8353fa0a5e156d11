"""What every policy must do."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.protocols import Policy
from vla_runtime.core.types import F32

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

    def _chunk(self, policy: Policy, variant: int, instruction: str | None = None) -> F32:
        spec = policy.spec
        text = spec.instruction.texts[0] if instruction is None else instruction
        return policy.infer(golden_images(spec, variant), golden_state(spec, variant), spec.instruction.encode(text))
