"""One page about a series: what was measured, what it shows, and what it does not.

report("runs/law")["page"]    # the path of an HTML file that needs nothing else
"""

import shlex
from pathlib import Path

import numpy as np

import minillm
from minillm.errors import UsageError
from minillm.figures import short
from minillm.scaling import page_figures as figures
from minillm.scaling import page_html as html
from minillm.scaling.compare_runs import RunRead, Series, read_series
from minillm.scaling.ladder import PRESETS
from minillm.scaling.page_laws import Laws, fit_laws
from minillm.scaling.page_text import findings, formula, interval, not_shown, percent
from minillm.scaling.page_text import title as title_of
from minillm.training.run_folder.files import replacing


def report(folder: str | Path, out: str | Path | None = None) -> dict:
    """Write a page about a folder of `scale`, or one that holds folders of `train`.

    out: the HTML file (default: report.html in the folder). Returns `page` (its
    absolute path), `title`, `findings`, `not_shown`, `missing`, `excluded` and
    `warnings`, as the page says them. Raises DataError and UsageError.
    """
    series = read_series(Path(folder))
    out = series.path / "report.html" if out is None else Path(out)
    if out.is_dir():
        raise UsageError(f"{out}: is a folder: name the file, e.g. {out}/report.html")
    laws = fit_laws(series)
    said = {
        "title": title_of(series),
        "findings": findings(series, laws),
        "not_shown": not_shown(series, laws),
        "missing": laws.missing,
        "excluded": [{"run": r, "reason": why} for r, why in series.excluded.items()],
        "warnings": laws.warnings,
    }
    page = html.document(said["title"], _body(series, laws, said))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            temporary.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{out}: cannot be written ({reason})") from error
    return {"page": str(out.resolve()), **said}


def _body(series: Series, laws: Laws, said: dict):
    yield html.paragraph("minillm · scaling report", "over")
    yield f"<h1>{html.escape(said['title'])}</h1>"
    yield html.tiles(_at_a_glance(series, laws))
    if said["findings"]:
        yield html.section("What was found", html.listing(said["findings"], "quotes"))
    yield html.section(
        "What is not shown",
        html.listing([*said["not_shown"], *said["missing"]], "quotes not"),
    )
    if said["warnings"]:
        warnings = html.listing(said["warnings"], "quotes warnings")
        yield html.section("Warnings", warnings)
    if laws.size is not None:
        yield html.section(
            "The law of size",
            figures.law_of_size(series, laws),
            _constants(laws.size, "loss"),
        )
    if laws.both is not None:
        yield html.section(
            "The law of size and text",
            figures.law_of_both(laws),
            _constants(laws.both, "loss"),
        )
    curves = figures.learning_curves(series)
    if curves:
        yield html.section("Learning curves", curves)
    if laws.powers:
        yield html.section(
            "Accuracy, speed and cost",
            html.pictures(figures.powers(laws)),
            _power_table(laws),
        )
    yield html.section("The models", _size_table(series, laws))
    if series.rate_checks:
        yield html.section("Checks of the learning rate", _rate_table(series))
    if said["excluded"]:
        rows = [[bad["run"], bad["reason"]] for bad in said["excluded"]]
        yield html.section("Left out", html.table(["run", "why"], rows))
    yield html.section("To repeat it", *_repeat(series))


def _at_a_glance(series: Series, laws: Laws):
    done = [run for run in series.runs if run.finished]
    sizes, tokens = [run.size for run in done], {run.tokens for run in done}
    if done:
        span = f"{short(min(sizes))} to {short(max(sizes))}"
        yield "parameters N", span, f"{len(done)} finished runs"
        ends = sorted({short(min(tokens)), short(max(tokens))}, key=len)
        yield "tokens D of each", " to ".join(ends), _corpus_note(done)
    if laws.size is not None:
        alpha = laws.size.parameters["alpha"]
        ends = interval(laws.size.interval95["alpha"], 2)
        yield "exponent α of L(N)", f"{alpha:.3f}", f"95 % interval {ends}"
    if laws.held_out:
        error = percent(laws.held_out.error, 2)
        yield "held-out model, off by", error, f"N = {short(laws.held_out.size)}"


def _corpus_note(runs: list[RunRead]) -> str:
    name = runs[0].get("data", "note") or runs[0].get("data", "name") or ""
    epochs = max(run.get("data", "epochs") or 0 for run in runs)
    return f"{name}; {epochs:.2g} epochs at most" if epochs else str(name)


def _constants(law, y: str) -> str:
    rows = [
        [name, f"{value:.4g}", *(f"{end:.4g}" for end in law.interval95[name])]
        for name, value in law.parameters.items()
    ]
    heads = ["unknown", "value", "95 % from", "to"]
    caption = f"{law.law}; {y} = {formula(law)}, in nats per token"
    return html.table(heads, rows, caption)


def _power_table(laws: Laws) -> str:
    rows = []
    for name, law in laws.powers.items():
        power = law.as_power()
        ends = interval(power["interval95"]["n"])
        numbers = [f"{power[key]:.4g}" for key in "anb"]
        rows.append([name, *numbers, ends, str(law.n)])
    heads = ["y", "a", "n", "b", "95 % of n", "points"]
    return html.table(heads, rows, "y = a·N^n + b")


def _size_table(series: Series, laws: Laws) -> str:
    """A row for each size and length; the law beside what was measured."""
    held_out = {run.name for run in series.held_out}
    groups = {}
    for run in [*series.fitted, *series.held_out]:
        key = (run.size, run.tokens, run.name in held_out)
        groups.setdefault(key, []).append(run)
    rows = []
    for (size, tokens, held), runs in sorted(groups.items(), key=lambda item: item[0]):
        first = runs[0]
        loss = float(np.median([run.loss for run in runs]))
        law = _law_at(series, laws, size, tokens)
        rows.append(
            [
                " × ".join(
                    str(first.get("config", k)) for k in ("n_layers", "d_model")
                ),
                short(size),
                short(tokens),
                f"{len(runs)}{' held out' if held else ''}",
                f"{loss:.4f}",
                "–" if law is None else f"{law:.4f}",
                "–" if law is None else f"{100 * (loss / law - 1):+.2f} %",
                _median(runs, "val_accuracy", percent),
                _median(runs, "val_bits_per_byte", "{:.3f}".format),
                _median(runs, "seconds", "{:.0f}".format),
            ]
        )
    heads = ["shape", "N", "D", "runs", "loss", "by the law", "above it", "accuracy"]
    heads += ["bits/byte", "seconds"]
    caption = "Medians over seeds; shape: layers × width; loss in nats per token"
    return html.table(heads, rows, caption)


def _law_at(series: Series, laws: Laws, size: int, tokens: int) -> float | None:
    if laws.size is not None and tokens == series.points_of_size[0].tokens:
        return laws.size.predict(size)
    return None if laws.both is None else laws.both.predict(size, tokens)


def _median(runs: list[RunRead], key: str, write) -> str:
    values = [run.get("results", key) for run in runs]
    known = [value for value in values if value is not None]
    return write(float(np.median(known))) if known else "–"


def _rate_table(series: Series) -> str:
    """Runs at other rates beside that at the series' own, of one size and length."""
    rows = []
    for check in series.rate_checks:
        same = [
            run
            for run in series.runs
            if run.finished
            and run not in series.rate_checks
            and (run.size, run.tokens, run.get("seed"))
            == (check.size, check.tokens, check.get("seed"))
        ]
        if same:
            factor = check.get("options", "lr") / same[0].get("options", "lr")
            change = f"{100 * (check.loss / same[0].loss - 1):+.2f} %"
            row = [short(check.size), short(check.tokens), f"{factor:.3g}"]
            rows.append([*row, f"{check.loss:.4f}", f"{same[0].loss:.4f}", change])
    heads = ["N", "D", "times the rate", "loss", "at the rule's rate", "change"]
    return html.table(heads, rows)


def _repeat(series: Series):
    yield html.code("\n".join(_commands(series)))
    if series.plan:
        yield html.paragraph(
            "Sizes, lengths and repeats were planned for the speed of the machine that "
            "began the series; plan.json in its folder keeps them."
        )
    rows = [[name, value] for name, value in _facts(series).items()]
    yield html.table(["what", "value"], rows)


def _commands(series: Series):
    plan = series.plan
    ladder = plan.get("ladder") or {}
    name = shlex.quote(series.path.resolve().name)
    if ladder.get("name") in PRESETS:
        parts = ["minillm", "scale", "--preset", ladder["name"]]
        if plan.get("data", "stdlib") != "stdlib":
            parts += ["--data", plan["data"]]
        if plan.get("objective", "clm") != "clm":
            parts += ["--objective", plan["objective"]]
        if plan.get("seed"):
            parts += ["--seed", str(plan["seed"])]
        yield shlex.join([*parts, "--out"]) + f" {name}"
        yield f"minillm report {name}"
        return
    for run in series.runs:
        yield f"minillm train --config {shlex.quote(run.name)}/run.json"
    yield f"minillm report {name}"


def _facts(series: Series) -> dict[str, str]:
    """What the numbers depend on; every value that occurs."""

    def all_of(*keys: str) -> str:
        values = {str(run.get(*keys)) for run in series.runs} - {"None"}
        return ", ".join(sorted(values)) or "–"

    versions = [run.get("versions") or {} for run in series.runs]
    names = dict.fromkeys(name for found in versions for name in found)
    return {
        "text": all_of("data", "name"),
        "its note": all_of("data", "note"),
        "its sha256": all_of("data", "sha256"),
        "tokenizer": all_of("data", "tokenizer", "kind"),
        "vocabulary": all_of("data", "tokenizer", "vocab_size"),
        "objective": all_of("config", "objective"),
        "seeds": all_of("seed"),
        "device": all_of("device"),
        **{f"version of {name}": all_of("versions", name) for name in names},
        "this page": f"minillm {minillm.__version__}",
    }
