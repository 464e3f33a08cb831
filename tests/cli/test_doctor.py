"""`minillm doctor` says what is there, and why something is not."""

import json

import pytest

from minillm import backend
from minillm.inspect import doctor
from minillm_cli.doctor import describe_products


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


BROKEN = "MKL 2026.1 is installed but cannot be used: it computes wrong products"


def test_numpy_s_own_products_are_named_with_their_speed(minillm, monkeypatch):
    found = {"name": "NumPy", "version": "2.4", "problem": BROKEN}
    monkeypatch.setattr(doctor.products, "library", lambda: found)
    monkeypatch.setattr(backend, "describe", list)
    told = json.loads(minillm("doctor", "--json")[1])["products"]
    assert 1e8 < told.pop("flops_per_second").pop("NumPy") < 1e13
    assert told == found
    out = minillm("doctor")[1]
    assert "NumPy 2.4: " in out
    assert "GFLOP/s on one core" in out
    assert BROKEN.split()[0] in out and "wrong products" in " ".join(out.split())


def test_where_mkl_multiplies_both_are_measured(monkeypatch):
    found = {"name": "MKL", "version": "2026.1", "problem": None}
    monkeypatch.setattr(doctor.products, "library", lambda: found)
    called = []
    monkeypatch.setattr(doctor.products, "matmul", lambda *_: called.append(1))
    monkeypatch.setattr(backend, "describe", list)
    assert [*doctor.examine()["products"]["flops_per_second"]] == ["MKL", "NumPy"]
    assert called


@pytest.mark.parametrize(("mkl", "advice"), [(100e9, False), (90e9, True)])
def test_who_has_a_slower_mkl_learns_how_to_leave_it_unused(mkl, advice):
    found = {"name": "MKL", "version": "2026.1", "problem": None}
    found["flops_per_second"] = {"MKL": mkl, "NumPy": 104e9}
    line, *more = describe_products(found)
    speed = f"{mkl / 1e9:.0f} GFLOP/s on one core, NumPy's own 104"
    assert line == f"MKL 2026.1: {speed}"
    assert any("MINILLM_MKL=0" in text for text in more) == advice


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


@pytest.mark.parametrize("kind", ["Zen", None])
def test_the_kind_of_kernels_is_told_where_it_is_known(minillm, monkeypatch, kind):
    blas = {"user_api": "blas", "internal_api": "openblas", "version": "1"}
    found = [{**blas, "num_threads": 3, "architecture": kind}]
    monkeypatch.setattr(doctor.threadpoolctl, "threadpool_info", lambda: found)
    monkeypatch.setattr(backend, "describe", list)
    out = " ".join(minillm("doctor")[1].split())
    assert "openblas 1, 3 threads" in out
    assert ("3 threads, kernels for Zen" in out) == bool(kind)
    assert ("kernels" in out) == bool(kind)


def test_a_package_of_our_name_is_told_apart(minillm, monkeypatch, tmp_path):
    """`pip install minillm` brings another project, and puts it over this one."""
    monkeypatch.setattr(backend, "describe", list)
    assert "another project" not in minillm("doctor")[1]
    (tmp_path / "minillm-9.9.dist-info").mkdir()
    about = tmp_path / "minillm-9.9.dist-info" / "METADATA"
    about.write_text("Metadata-Version: 2.1\nName: minillm\nVersion: 9.9\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert json.loads(minillm("doctor", "--json")[1])["another_minillm"] == "9.9"
    out = " ".join(minillm("doctor")[1].split())
    assert "9.9 of another project is installed" in out
    assert "pip uninstall minillm" in out
