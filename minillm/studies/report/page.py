"""Report of a series, as one HTML page: its findings, their limits, its tables.

report("runs/law")["page"]    # the path of an HTML file that needs nothing else
"""

import os
import shlex
from pathlib import Path

import minillm
from minillm.errors import UsageError, option
from minillm.figures import short
from minillm.files import is_ours, replacing, writing
from minillm.series.ladder import PRESETS, command, options
from minillm.studies.report import html, report_figures, tables
from minillm.studies.report.findings import findings, interval, not_shown, percent
from minillm.studies.report.findings import title as title_of
from minillm.studies.report.laws import Laws, fit_laws
from minillm.studies.run_folders import RunRead, Series, read_series

OVER = "minillm · scaling report"  # the line at the top


def report(folder: str | Path, out: str | Path | None = None) -> dict:
    """Write a page about a folder of `scale`, or one that holds folders of `train`.

    out: the HTML file (default: report.html in the folder). Returns `page` (its
    absolute path), `title`, `findings`, `not_shown`, `missing`, `excluded` and
    `warnings`, as the page says them. Raises DataError and UsageError.
    """
    series = read_series(Path(folder))
    usual = series.path / "report.html"
    if out is None and os.path.lexists(usual) and not _is_page(usual):
        raise UsageError(
            f"{usual}: is there, and minillm did not write it: name a file for the page"
            f", e.g. {option('out', usual.with_stem('page'))}"
        )
    out = usual if out is None else Path(out)
    if out.is_dir():
        raise UsageError(f"{out}: is a folder: name the file, e.g. {out}/report.html")
    laws = fit_laws(series)
    said = {
        "title": title_of(series),
        "findings": findings(series, laws),
        "not_shown": not_shown(series, laws),
        "missing": laws.missing,
        "excluded": _excluded(series),
        "warnings": laws.warnings,
    }
    page = html.document(said["title"], _body(series, laws, said))
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out, through=True) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return {"page": str(out.resolve()), **said}


def _is_page(path: Path) -> bool:
    """Whether a file is such a page, also one without a mark of an older version."""
    if is_ours(path):
        return True
    return path.is_file() and OVER.encode() in path.read_bytes()


def _excluded(series: Series) -> list[dict]:
    """The runs and points that no law is fitted to, with the reason."""
    found = [{"run": run, "reason": why} for run, why in series.excluded.items()]
    for point in series.points:
        if point not in series.points_of_both:
            name = f"N = {short(point.size)} after {short(point.tokens)} tokens"
            reason = "in a transition: no part of L(N, D) (see the warnings)"
            found.append({"run": name, "reason": reason})
    return found


def _body(series: Series, laws: Laws, said: dict):
    yield html.paragraph(OVER, "over")
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
            report_figures.law_of_size(series, laws),
            tables.constants(laws.size, "loss"),
            tables.influence(laws.size),
        )
    if laws.both is not None:
        yield html.section(
            "The law of size and text",
            report_figures.law_of_both(laws),
            tables.constants(laws.both, "loss"),
        )
    curves = report_figures.learning_curves(series)
    if curves:
        yield html.section("Learning curves", curves)
    if laws.powers:
        yield html.section(
            "Accuracy, speed and cost",
            html.pictures(report_figures.powers(laws)),
            tables.powers(laws),
        )
    yield html.section("The models", tables.sizes(series, laws))
    if series.rate_checks:
        yield html.section("Checks of the learning rate", tables.rates(series))
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
        ends = dict.fromkeys([short(min(tokens)), short(max(tokens))])
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


def _repeat(series: Series):
    yield html.code("\n".join(_commands(series)))
    if series.plan:
        yield html.paragraph(
            "A series is planned for the speed of the machine it begins on: how many "
            "tokens, how many repeats. With --plan it is the same on any."
        )
    rows = [[name, value] for name, value in _facts(series).items()]
    yield html.table(["what", "value"], rows)


def _commands(series: Series):
    """The commands that repeat a series: from the preset, and from the plan."""
    plan = series.plan
    folder = _from_here(series.path)
    preset = (plan.get("ladder") or {}).get("name")
    if preset in PRESETS:
        names = ("budget", "data", "objective", "arch", "seed")
        given = {name: plan.get(name) for name in names}
        model = (plan.get("ladder") or {}).get("model")
        yield command(folder, options(preset, model, **given))
    if plan:
        yield command(f"{folder}-again", {"plan": f"{folder}/plan.json"})
    else:
        for run in series.runs:
            settings = f"{folder}/{run.name}/run.json"
            yield shlex.join(["minillm", "train", "--config", settings])
    yield shlex.join(["minillm", "report", folder])


def _from_here(folder: Path) -> str:
    """A folder's path below the current one; elsewhere only its name, since a page is
    passed on."""
    full, here = folder.resolve(), Path.cwd()
    return str(full.relative_to(here)) if here in full.parents else full.name


def _facts(series: Series) -> dict[str, str]:
    """Settings and versions behind the numbers; every value that occurs."""

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
        "architecture": all_of("config", "arch"),
        "objective": all_of("config", "objective"),
        "seeds": all_of("seed"),
        "device": all_of("device"),
        **{f"version of {name}": all_of("versions", name) for name in names},
        "this page": f"minillm {minillm.__version__}",
    }
