"""`minillm doctor` says what is there, and why something is not."""

import json

from minillm import backend
from minillm.inspect import doctor


def test_everything_is_reported_as_json(minillm):
    code, out, err = minillm("doctor", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["versions"]["numpy"].startswith("2.")
    assert found["cores"] >= 1
    assert found["blas"][0]["name"]
    cpu = found["devices"][0]
    assert (cpu["name"], cpu["usable"]) == ("cpu", True)
    assert 1e8 < cpu["matmul_flops_per_second"] < 1e14
    assert 1e6 < cpu["gelu_bytes_per_second"] < 1e13


def test_a_machine_without_a_gpu_is_no_failure(minillm, monkeypatch):
    devices = [
        {"name": "cpu", "usable": True, "reason": "NumPy 2"},
        {"name": "cuda", "usable": False, "reason": "there is no driver: install it"},
    ]
    monkeypatch.setattr(backend, "describe", lambda: devices)
    code, out, err = minillm("doctor")
    assert code == 0
    assert "GFLOP/s" in out
    assert "there is no driver: install it" in out
    assert err.startswith("next: minillm ")


def test_a_library_that_is_not_installed_is_reported_as_none(monkeypatch):
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy", "no-such-library"))
    monkeypatch.setattr(backend, "describe", list)
    assert doctor.examine()["versions"]["no-such-library"] is None


def test_blas_is_named_also_where_its_threads_cannot_be_counted(monkeypatch):
    monkeypatch.setattr(doctor.threadpoolctl, "threadpool_info", list)
    monkeypatch.setattr(backend, "describe", list)
    (blas,) = doctor.examine()["blas"]
    assert blas["name"]
    assert blas["threads"] is None
