"""What stands beside a law: its rivals, its influential points, its correlations."""

from dataclasses import replace

import numpy as np
import pytest

from minillm.laws import fit, influence

SIZES = np.geomspace(1e4, 1e6, 12)


def test_the_rivals_are_told_apart_by_their_criterion():
    def best(y, **options):
        models = fit({"N": SIZES, "loss": y}, bootstrap=20, **options).models
        return min(models, key=models.get)

    noise = 1 + 0.002 * np.random.default_rng(2).standard_normal(12)
    assert best(5 * SIZES**-0.1 * noise) == "power"
    assert best((1.1 + 40 * SIZES**-0.45) * noise) == "power + floor"
    assert best((1.1 + 2 * np.exp(-SIZES / 1e5)) * noise) == "exponential"
    # Whichever of them is asked for.
    assert best((1.1 + 40 * SIZES**-0.45) * noise, floor=False) == "power + floor"


def test_an_exponential_without_noise_has_no_residual_left():
    y = 1.1 + 2 * np.exp(-SIZES / 1e5)
    models = fit({"N": SIZES, "loss": y}, bootstrap=20).models
    assert models["exponential"] < models["power + floor"] - 300


def test_influence_is_the_change_without_the_point():
    loss = 1.1 + 40 * SIZES[:8] ** -0.45
    loss *= 1 + 0.003 * np.random.default_rng(0).standard_normal(8)
    loss[4] = np.nan
    columns = {"N": SIZES[:8], "loss": loss}
    fitted = fit(columns, bootstrap=20)
    assert sorted(point["row"] for point in fitted.influence) == [1, 2, 3, 4, 6, 7, 8]
    first = fitted.influence[0]
    sizes = [abs(point["change"]["alpha"]) for point in fitted.influence]
    assert sizes == sorted(sizes, reverse=True)
    rest = {
        name: np.delete(column, first["row"] - 1) for name, column in columns.items()
    }
    again = fit(rest, bootstrap=20)
    for name, change in first["change"].items():
        expected = again.parameters[name] - fitted.parameters[name]
        assert change == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["huber", "lsq"])
def test_of_a_large_table_the_likeliest_points_are_left_out(loss, monkeypatch):
    sizes = np.random.default_rng(1).permutation(np.geomspace(1e4, 1e6, 60))
    y = 1.1 + 40 * sizes**-0.45
    y *= 1 + 0.002 * np.random.default_rng(0).standard_normal(60)
    fitted = fit({"N": sizes, "loss": y}, loss=loss, bootstrap=20)
    every = [point["row"] for point in fitted.influence]
    monkeypatch.setattr(influence, "MOST_POINTS", 20)
    some = [point["row"] for point in replace(fitted).influence]
    assert len(every) == 60 and len(some) == 20
    assert some[:5] == every[:5]


def test_amplitude_and_exponent_are_known_to_be_correlated():
    noise = 1 + 0.003 * np.random.default_rng(0).standard_normal(12)
    fitted = fit({"N": SIZES, "loss": (1.1 + 40 * SIZES**-0.45) * noise})
    assert list(fitted.correlations) == ["A, alpha"]
    assert fitted.correlations["A, alpha"] > 0.99
