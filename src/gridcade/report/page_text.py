"""The sentences of the page besides its verdicts: summary, aggregation, interruptions."""

from collections import Counter
from collections.abc import Sequence

from gridcade.report.analysis import Aggregate, EnvironmentAnalysis, aggregated_contenders
from gridcade.report.phrases import count, listing
from gridcade.study.comparison import Comparison
from gridcade.study.study import Study

MAX_TITLE_NAMES = 5


def title(study: Study) -> str:
    """Return the title: the names of contenders and environments, or their numbers if many."""
    contenders = [spec.label for spec in study.contenders]
    parts = (
        listing(names) if len(names) <= MAX_TITLE_NAMES else count(len(names), noun)
        for names, noun in ((contenders, "contender"), (study.environments, "environment"))
    )
    return " on ".join(parts)


def summary(comparison: Comparison, analyses: Sequence[EnvironmentAnalysis]) -> str:
    """Summarize training and evaluation, and name the criterion."""
    criteria = dict.fromkeys(a.names.title for a in analyses) or ["expected return"]
    evaluation = (
        "All policies were evaluated in the same way; the criterion is the "
        f"{' or the '.join(criteria)}."
    )
    if comparison.study.measure != "evaluation":
        evaluation = f"Training itself was measured, with exploration: the {listing([*criteria])}."
    training = _training_sentence(comparison, analyses)
    return f"{training} {evaluation}" if training else evaluation


def _training_sentence(comparison: Comparison, analyses: Sequence[EnvironmentAnalysis]) -> str:
    study = comparison.study
    trained = list(dict.fromkeys(s.contender for a in analyses for s in a.scores if s.learns))
    if not trained:
        return ""
    budget = [count(study.steps, "step")] if study.steps else []
    budget += [count(study.minutes, "minute")] if study.minutes else []
    budget += [count(episodes, "episode") for episodes in study.episode_budgets()]
    seed_counts = [len(s.values) for a in analyses for s in a.scores if s.learns]
    fewest, most = min(seed_counts), max(seed_counts)
    seeds = count(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    where = "" if len(study.environments) == 1 else " on each environment"
    failed = sum(failure.seed is not None for failure in comparison.failures)
    are = "is" if failed == 1 else "are"
    failures = f"; {count(failed, 'more run')} failed and {are} left out" if failed else ""
    return (
        f"{listing(trained)} {'was' if len(trained) == 1 else 'were'} trained with {seeds}{where}, "
        f"for {' or '.join(budget)} per run{failures}."
    )


def aggregate_sentences(
    aggregate: Aggregate | None, analyses: Sequence[EnvironmentAnalysis]
) -> list[str]:
    """State the scale of aggregates, and which environments and contenders are left out."""
    sentences = []
    if aggregate is None:
        sentences.append(
            "The environments have no common scale, so only probabilities of improvement are shown."
        )
    elif aggregate.reference:
        sentences.append(
            f"Scores are normalized: 0 is the score of random play, 1 is {aggregate.reference}."
        )
    if aggregate and (others := [a.env for a in analyses if a.env not in aggregate.environments]):
        sentences.append(f"Means and profiles leave out {listing(others)}: no scale is known.")
    failed: Counter[str] = Counter()
    for a in analyses:
        failed.update({s.contender: s.failed for s in a.scores} | dict(a.absent))
    included = aggregated_contenders(analyses)
    trained = dict.fromkeys(s.contender for a in analyses for s in a.scores if s.learns)
    for name in [*trained, *(n for n in failed if n not in trained and failed[n])]:
        reason = f": {count(failed[name], 'run')} failed" if failed[name] else ""
        if name not in included:
            sentences.append(
                f"{name} is left out, because it has fewer than two seeds on an environment"
                f"{reason}."
            )
        elif reason:
            sentences.append(f"{name} is represented by its remaining runs{reason}.")
    return sentences


def no_aggregate_sentence(analyses: Sequence[EnvironmentAnalysis]) -> str:
    """State why there are no aggregates if no contender has several seeds; otherwise empty."""
    trained = any(s.learns for a in analyses for s in a.scores)
    if not trained or aggregated_contenders(analyses):
        return ""
    return "No contender has two seeds or more on every environment, so there are no aggregates."


def interruption_sentences(analyses: Sequence[EnvironmentAnalysis]) -> list[str]:
    """Name the runs that were interrupted, and whether they continued or started over."""
    sentences = []
    for a in analyses:
        for s in a.scores:
            interrupted = [r for r in s.results if len(r.sessions) > 1]
            restarted = [r for r in interrupted if any("started_over" in x for x in r.sessions)]
            resumed = [r for r in interrupted if r not in restarted]
            for runs, action in (
                (resumed, "continued from the last checkpoint"),
                (restarted, "started over"),
            ):
                if runs:
                    seeds = listing([str(r.seed) for r in runs])
                    noun = "seed" if len(runs) == 1 else "seeds"
                    sentences.append(
                        f"{s.contender} on {a.env}, {noun} {seeds}: interrupted, then {action}."
                    )
    return sentences


def command(comparison: Comparison) -> str:
    """Return the command that repeats the study, with --jobs if the time budget depends on it."""
    jobs = comparison.sessions[-1]["jobs"] if comparison.sessions else None
    depends = comparison.study.minutes is not None and jobs is not None
    return f"gridcade compare study.toml{f' --jobs {jobs}' if depends else ''}"


def reproducibility_sentence(study: Study) -> str:
    """State whether a repetition gives the same scores, and where the figures are."""
    if study.minutes is None:
        scores = "The same study gives the same scores."
    else:
        scores = "Runs have a time budget, so a slower or busier machine gives other scores."
    return f"{scores} The figures are in figures/ beside this page, as SVG and PNG."
