"""Bodies for a GPU check themselves before they run: planted ones, on the stand-in."""

import functools
import warnings

import numpy as np
import pytest

import minillm
from minillm import Tensor, backend, ops
from minillm.backend import definition_of, faster, registry, self_check
from minillm.backend.pullbacks import joint
from minillm.inspect import doctor
from minillm.learning import optimizer, sgd, unread  # noqa: F401  (define kernels)
from minillm.runs.logbook import Silent
from minillm_cli.doctor import describe_device


@pytest.fixture
def checked(on_strict, monkeypatch):
    """The stand-in, whose bodies are checked."""
    self_check.examine.cache_clear()
    monkeypatch.setattr(self_check, "_told", set())
    monkeypatch.setattr(registry, "_judge", None)
    self_check.begin(on_strict)
    return on_strict


def planted(name, spoil=lambda answer: answer):
    """A body that does what its definition does, and then spoils the answer. Returns
    the list of its calls."""
    calls = []

    @faster(name, "cuda")
    def body(*arrays, **settings):
        calls.append(settings)
        return spoil(definition_of(name)(*arrays, **settings))

    return calls


def off_by(share):
    return lambda answer: (answer[0] * (1 + share), *answer[1:])


def wrong_gradient(answer):
    value, *pullbacks = answer
    return value, *(lambda g, pull=pull: pull(g) * 1.001 for pull in pullbacks)


def none_for_the_bias(answer):
    value, pull = answer
    return value, joint(lambda g: (*pull(g)[:2], pull(g)[2] + 1))


def raises(_):
    raise RuntimeError("CUDA_ERROR_INVALID_PTX:\n  unsupported toolchain")


def nothing_but_nan(answer):
    return answer[0] * np.nan, *answer[1:]


KNOWN = set(self_check.CASES) & set(registry._definitions)
WRONG = [
    ("gelu", off_by(1e-3), "off by 1.0e-03"),
    ("gelu", wrong_gradient, "off by 1.0e-03"),
    ("gelu", nothing_but_nan, "off by inf"),
    ("gelu", raises, "RuntimeError: CUDA_ERROR_INVALID_PTX: unsupported toolchain"),
    ("layer_norm", none_for_the_bias, "off by"),
    ("softmax", lambda answer: (answer[0][:1], *answer[1:]), "shape"),
    ("linear", lambda answer: answer[:-1], "zip"),
    ("linear_cross_entropy", off_by(0.01), "off by 1.0e-02"),
    ("cross_entropy", wrong_gradient, "off by 1.0e-03"),
    ("embedding", wrong_gradient, "off by"),
    ("dropout", off_by(0.01), "off by"),
    ("attention", off_by(0.01), "off by"),
    ("self_attention", off_by(0.01), "off by"),
    ("cross_attention", off_by(0.01), "off by"),
]


@pytest.mark.parametrize(("name", "spoil", "says"), WRONG)
def test_a_wrong_body_is_left_out_with_one_note(checked, name, spoil, says):
    calls = planted(name, spoil)
    rule = definition_of(name)
    with pytest.warns(UserWarning, match="its definition runs") as caught:
        assert backend.body_of(rule, "cuda") is rule
    assert says in str(caught[0].message)
    assert f"the CUDA body of {name} is left out" in str(caught[0].message)
    n = len(calls)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend.body_of(rule, "cuda") is rule
    assert len(calls) == n


@pytest.mark.parametrize(
    "name", sorted(set(self_check.CASES) & set(registry._definitions))
)
def test_a_right_body_runs(checked, name):
    calls = planted(name)
    rule = definition_of(name)
    for _ in range(3):
        assert backend.body_of(rule, "cuda") is not rule
    assert len(calls) == 1
    (verdict,) = self_check.examine_all(checked)
    assert verdict.problem is None
    assert verdict.off < 1e-6


def test_a_joint_pullback_may_answer_with_one_array(checked):
    """Where the other arguments are left out, as in `contributions`."""

    def one(answer):
        value, pull = answer
        return value, joint(lambda g: pull(g)[0])

    planted("self_attention", one)
    rule = definition_of("self_attention")
    assert backend.body_of(rule, "cuda") is not rule


def test_what_changes_its_inputs_is_left_out(checked):
    @faster("gelu", "cuda")
    def gelu(x, *, form="tanh"):
        answer = definition_of("gelu")(x, form=form)
        x *= 2
        return answer

    with pytest.warns(UserWarning, match="left out"):
        assert backend.body_of(ops.gelu.rule, "cuda") is ops.gelu.rule


@pytest.mark.parametrize("name", ["adamw", "sgd", "sgd_momentum"])
def test_an_update_that_moves_too_far_is_left_out(checked, name):
    @faster(name, "cuda")
    def body(data, *arrays, **settings):
        definition_of(name)(data, *arrays, **settings)
        data *= 1.001

    with pytest.warns(UserWarning, match=f"CUDA body of {name} is left out"):
        assert backend.body_of(definition_of(name), "cuda") is definition_of(name)


def test_a_body_without_a_case_is_trusted_and_said_to_be(checked):
    calls = planted("tanh")
    assert backend.body_of(ops.tanh.rule, "cuda") is not ops.tanh.rule
    assert not calls
    (verdict,) = self_check.examine_all(checked)
    assert (verdict.off, verdict.problem) == (None, None)


def test_ops_and_gradients_run_on(checked):
    planted("gelu", off_by(1e-2))
    x = Tensor(np.linspace(-2, 2, 9, dtype=np.float32), requires_grad=True)
    with pytest.warns(UserWarning, match="CUDA body of gelu"):
        ops.gelu(x).sum().backward()
    found = checked.to_numpy(x.grad)
    with backend.use("cpu"):
        y = Tensor(np.linspace(-2, 2, 9, dtype=np.float32), requires_grad=True)
        ops.gelu(y).sum().backward()
    np.testing.assert_allclose(found, y.grad, rtol=1e-5)


def test_doctor_prints_a_row_for_each_body(checked, monkeypatch):
    planted("gelu", raises)
    planted("dropout")
    planted("tanh")
    monkeypatch.setattr(doctor, "matmul_peak", lambda _: 1.0)
    monkeypatch.setattr(doctor, "_gelu_speed", lambda: 1.0)
    found = doctor._examine({"name": "cuda", "usable": True, "reason": "a card"})
    rows = dict(describe_device(found)[1:])
    assert rows["  gelu"].startswith(
        "left out, its definition runs: RuntimeError: CUDA"
    )
    assert rows["  dropout"].startswith("off by ")
    assert rows["  tanh"].startswith("no case to check it")
    assert doctor._bodies(backend.Backend()) == []


def test_a_run_notes_what_is_left_out_once(checked, tmp_path, monkeypatch):
    planted("gelu", off_by(1e-2))
    (tmp_path / "text.txt").write_text("a word and another one. " * 80, "utf-8")
    told = []

    class Listener(Silent):
        note = staticmethod(told.append)

    run = functools.partial(
        minillm.train,
        n_layers=1,
        d_model=8,
        n_heads=1,
        context=8,
        batch=2,
        steps=2,
        tokenizer="chars",
        data=str(tmp_path / "text.txt"),
        device="cuda",
        draw=False,
        reporter=Listener(),
    )
    monkeypatch.setattr(self_check, "SLOW", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(out=tmp_path / "one")
    assert sum("the CUDA body of gelu is left out" in line for line in told) == 1
    assert sum("compiled and checked in" in line for line in told) == 1
    assert self_check.notes(backend.Backend()) == []
