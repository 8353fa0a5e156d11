"""A policy file is sampled, and made to continue the plan in use, as the config asks and its graph can."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.errors import ContractMismatch, PolicyFileError
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.rtc import nearest, prefix_weights
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampling
from vla_runtime.core.types import Continuation
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.policies.onnx import OnnxPolicy

from .conditioned import SPREAD, condition

TOY = Path(__file__).resolve().parents[2] / "robot_configs" / "policies" / "toy.onnx"
H, A = 8, 4
EVERY = [set(some) for size in range(5) for some in combinations(OPTIONAL_INPUTS, size)]
WHOLE = [takes for takes in EVERY if "prev_chunk" in takes or takes <= {"noise"}]
PREVIOUS = np.linspace(-0.5, 0.5, H * A, dtype=np.float32).reshape(H, A)
MODES = ["auto", "off", "prefix", "guidance", "both"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made(takes)`` is the toy policy with these inputs."""
    directory = tmp_path_factory.mktemp("graphs")

    def make(takes) -> Path:
        out = directory / f"{'-'.join(sorted(takes)) or 'plain'}.onnx"
        return out if out.exists() else condition(TOY, takes, out)

    return make


def chunk(policy, continuation=None, seed=0):
    spec = policy.spec
    return policy.infer(golden_images(spec), golden_state(spec), 0, continuation=continuation, seed=seed)


def continuation(delay=3, overlap=6):
    return Continuation(PREVIOUS, delay, prefix_weights(H, delay, overlap))


def noise(seed, draws=1):
    return SPREAD * np.random.RandomState(seed).standard_normal((draws, H, A)).astype(np.float32)


@pytest.mark.parametrize("takes", WHOLE, ids=lambda takes: "+".join(sorted(takes)) or "none")
def test_any_set_of_inputs_that_belong_together_runs_and_gives_its_golden_sample(takes, made) -> None:
    policy = OnnxPolicy(made(takes))
    assert check_golden(policy) <= policy.spec.golden.tolerance
    assert (policy.samples, policy.continues) == ("noise" in takes, "prev_chunk" in takes)
    assert chunk(policy, continuation()).shape == (H, A)


@pytest.mark.parametrize(
    ("takes", "kept"),
    [
        (set(), "off"),
        ({"noise"}, "off"),
        ({"prev_chunk"}, "off"),
        ({"prev_chunk", "prefix_weights"}, "guidance"),
        ({"prev_chunk", "delay"}, "prefix"),
        ({"prev_chunk", "delay", "prefix_weights"}, "prefix"),
    ],
)
def test_left_to_itself_a_policy_continues_the_best_way_that_it_can(takes, kept, made) -> None:
    assert OnnxPolicy(made(takes)).rtc == kept


def test_a_policy_that_does_not_hold_what_it_says_it_holds_is_refused_before_anything_moves(made, tmp_path) -> None:
    import onnx

    model = onnx.load(str(made({"prev_chunk"})))
    model.graph.input.append(onnx.helper.make_tensor_value_info("delay", onnx.TensorProto.INT64, ["batch"]))
    onnx.save(model, str(tmp_path / "deaf.onnx"))
    with pytest.raises(
        PolicyFileError, match=r"does not hold the rows before its delay: row \d, a\d is .*, committed is"
    ):
        check_golden(OnnxPolicy(tmp_path / "deaf.onnx"))
    check_golden(OnnxPolicy(tmp_path / "deaf.onnx", sampling=Sampling("off")))


def asked(policy_file: Path, rtc: str, continued):
    return chunk(OnnxPolicy(policy_file, sampling=Sampling(rtc)), continued)


def test_the_prefix_is_held_the_weights_guide_and_off_is_as_if_there_were_no_plan(made) -> None:
    both = made({"prev_chunk", "delay", "prefix_weights"})
    told, plain = continuation(), chunk(OnnxPolicy(both))
    guided = plain + told.weights[:, None] * (PREVIOUS - plain)
    prefix = asked(both, "prefix", told)
    assert np.array_equal(prefix[:3], PREVIOUS[:3])
    assert np.array_equal(prefix[3:], plain[3:])
    assert np.array_equal(asked(both, "guidance", told), guided)
    found = asked(both, "both", told)
    assert np.array_equal(found[:3], PREVIOUS[:3])
    assert np.array_equal(found[3:], guided[3:])
    assert np.array_equal(asked(both, "off", told), plain)
    for rtc in MODES:
        assert np.array_equal(asked(both, rtc, None), plain)


@pytest.mark.parametrize("takes", [takes for takes in EVERY if takes not in WHOLE], ids=lambda takes: "+".join(takes))
def test_a_delay_or_weights_of_nothing_are_refused(takes, made, tmp_path) -> None:
    import onnx

    model = onnx.load(str(TOY))
    for name in sorted(takes, key=OPTIONAL_INPUTS.index):
        shape = {"noise": ["batch", "draws", H, A], "delay": ["batch"], "prefix_weights": ["batch", H]}[name]
        kind = onnx.TensorProto.INT64 if name == "delay" else onnx.TensorProto.FLOAT
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    onnx.save(model, str(tmp_path / "odd.onnx"))
    with pytest.raises(PolicyFileError, match="without prev_chunk"):
        OnnxPolicy(tmp_path / "odd.onnx")


@pytest.mark.parametrize(
    ("takes", "sampling", "said"),
    [
        (
            {"noise"},
            Sampling("prefix"),
            "asks for prefix, .* takes prev_chunk, delay; this one takes noise; valid: auto",
        ),
        ({"prev_chunk", "delay"}, Sampling("guidance"), "asks for guidance, .* valid: auto, prefix, off"),
        ({"prev_chunk", "delay"}, Sampling("both"), "asks for both, .* takes prev_chunk, delay, prefix_weights; this"),
        (set(), Sampling("prefix"), "this one takes none of them; valid: auto, off"),
        ({"prev_chunk"}, Sampling(draws=4), "asks for 4, for which a policy takes noise"),
    ],
)
def test_what_a_graph_cannot_do_is_refused_with_both_sides(takes, sampling, said, made) -> None:
    with pytest.raises(ContractMismatch, match=said):
        OnnxPolicy(made(takes), sampling=sampling)


def test_other_noise_gives_another_chunk_and_the_same_seed_the_same(made) -> None:
    policy, plain = OnnxPolicy(made({"noise"})), chunk(OnnxPolicy(made(set())))
    assert np.array_equal(chunk(policy, seed=7), chunk(policy, seed=7))
    assert not np.array_equal(chunk(policy, seed=7), chunk(policy, seed=8))
    assert np.allclose(chunk(policy, seed=7), plain + noise(7)[0], atol=1e-7)


@pytest.mark.parametrize("takes", [{"noise"}, {"noise", "prev_chunk"}], ids=["noise alone", "with the previous chunk"])
@pytest.mark.parametrize("seed", range(5))
def test_of_several_draws_the_nearest_to_what_is_committed_is_kept(takes, seed, made) -> None:
    policy = OnnxPolicy(made(takes), sampling=Sampling(draws=16))
    drawn, told = chunk(OnnxPolicy(made(set()))) + noise(seed, 16), continuation()
    scale = np.array(policy.spec.normalisation.action_std, dtype=np.float32)
    assert np.allclose(chunk(policy, told, seed), drawn[nearest(drawn, told, scale)], atol=1e-7)
    assert np.allclose(chunk(policy, None, seed), drawn[0], atol=1e-7), "without a plan the first"


def test_a_graph_that_gives_fewer_chunks_than_it_was_given_noise_for_is_our_error(made, tmp_path) -> None:
    import onnx

    model = onnx.load(str(made(set())))
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("noise", onnx.TensorProto.FLOAT, ["batch", "draws", H, A])
    )
    onnx.save(model, str(tmp_path / "deaf.onnx"))
    with pytest.raises(PolicyFileError, match="gives 1 chunks for noise for 3"):
        chunk(OnnxPolicy(tmp_path / "deaf.onnx", sampling=Sampling(draws=3)), continuation())


@pytest.mark.parametrize(
    ("name", "at", "size"), [("noise", 1, 2), ("noise", 2, 7), ("prev_chunk", 1, 7), ("prefix_weights", 1, 9)]
)
def test_an_optional_input_of_another_shape_is_refused(name, at, size, made, tmp_path) -> None:
    import onnx

    model = onnx.load(str(made(set(OPTIONAL_INPUTS))))
    (entry,) = [entry for entry in model.graph.input if entry.name == name]
    entry.type.tensor_type.shape.dim[at].dim_value = size
    onnx.save(model, str(tmp_path / "odd.onnx"))
    with pytest.raises(PolicyFileError, match=r"odd\.onnx"):
        OnnxPolicy(tmp_path / "odd.onnx")


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_the_first_of_many_draws_is_the_only_one_of_one(seed: int, draws: int) -> None:
    """So a run whose plans begin without a plan to continue starts as one that draws once."""
    assert np.array_equal(noise(seed, draws)[0], noise(seed)[0])
