"""What a comparison found, in sentences."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gridcade.evaluation.intervals import Estimate
from gridcade.formatting import number
from gridcade.report.findings import Aggregate, Findings, Scores, Verdict, learners, tests
from gridcade.study.comparison import Comparison, Outcome
from gridcade.study.seed_statistics import MOST_SEEDS
from gridcade.study.study import Study

MOST_NAMES = 5  # in a title


def listing(names: Sequence[str]) -> str:
    """`a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def count(many: float, what: str) -> str:
    """`1 seed`, `2,000,000 steps`, `0.5 minutes`."""
    plain = f"{int(many):,}" if many == int(many) else f"{many:g}"
    return f"{plain} {what}{'' if many == 1 else 's'}"


def seeds(scores: Scores) -> str:
    """How many there are: `5`, `3 of 5` where others failed, or a dash of what learns nothing."""
    many = len(scores.values)
    told = f"{many} of {many + scores.failed}" if scores.failed else str(many)
    return told if scores.learns else "-"


def percent(share: float) -> str:
    """`95 %`."""
    return f"{100 * share:.4g} %"


def interval(estimate: Estimate) -> str:
    """`0.08 to 0.15`, `exact`, or a dash where there is none."""
    if not math.isfinite(estimate.half_width):
        return "-"
    exact = estimate.method == "exact"
    return "exact" if exact else f"{number(estimate.low)} to {number(estimate.high)}"


def gap(optimum: float, value: float) -> str:
    """How much less than the optimum; rounding errors are none."""
    return "0" if math.isclose(optimum, value, rel_tol=1e-9) else number(optimum - value)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.4 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"


def dates(outcomes: Sequence[Outcome]) -> str:
    """`2025-01-31`, `2025-01-31 to 2025-02-02`, or nothing."""
    days = sorted(s["started"][:10] for o in outcomes for s in o.sessions)
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def title(study: Study) -> str:
    """What was compared: names, or how many where there are many."""
    contenders = [entry.label for entry in study.contenders]
    names = (
        listing(some) if len(some) <= MOST_NAMES else count(len(some), what)
        for some, what in ((contenders, "contender"), (study.environments, "environment"))
    )
    return " on ".join(names)


def lede(comparison: Comparison, found: Sequence[Findings]) -> str:
    """What was done, and what decides."""
    study = comparison.study
    trained = dict.fromkeys(s.contender for f in found for s in f.scores if s.learns)
    budget = [count(study.steps, "step")] if study.steps else []
    budget += [count(study.minutes, "minute")] if study.minutes else []
    said = ""
    if trained:
        where = "" if len(study.environments) == 1 else " on each environment"
        seeds = [len(s.values) for f in found for s in f.scores if s.learns]
        few, most = min(seeds), max(seeds)
        many = count(most, "seed") if few == most else f"{few} to {most} seeds"
        said = (
            f"{listing([*trained])} learnt with {many}{where}, "
            f"{' or '.join(budget)} a run{_left_out(comparison)}. "
        )
    return f"{said}All policies were measured alike; the {_criteria(found)} decides."


def _left_out(comparison: Comparison) -> str:
    """How many runs the scores are without."""
    failed = sum(failure.seed is not None for failure in comparison.failures)
    return f"; {count(failed, 'more run')} failed and {_are(failed)} left out" if failed else ""


def _are(many: int) -> str:
    return "is" if many == 1 else "are"


def _criteria(found: Sequence[Findings]) -> str:
    return " or the ".join(dict.fromkeys(f.names.words for f in found)) or "expected return"


def method(study: Study, found: Sequence[Findings]) -> list[str]:
    """How the verdicts were reached."""
    many, said = tests(found), []
    if many:
        said = [
            f"Filled dots are what the data tell: of {count(many, 'comparison')} those whose "
            "p-value, by Welch's t-test over training seeds (between fixed policies over episodes) "
            "and after Holm's correction for their number, is at most "
            f"{number(1 - study.confidence)}. So the chance of even one false sentence among them "
            f"is about {percent(1 - study.confidence)} at most. Runs are not paired; each interval "
            "stands by itself."
        ]
    if any(v.needed for f in found for v in f.verdicts if not v.told(study.confidence)):
        said.append(
            "Numbers of seeds suppose that difference and spread are as they were seen; they give "
            "a chance of 80 % to tell. Seeds added to these after looking make the p-values "
            "optimistic."
        )
    if not all(f.exact for f in found):
        said.append(
            "Scores that are estimates share their episodes: intervals over seeds are about these "
            "episodes, which matters less with more of them."
        )
    notes = dict.fromkeys(v.difference.note for f in found for v in f.verdicts)
    said += [f"{note[0].upper()}{note[1:]}." for note in notes if note]
    return said


def verdicts(found: Findings, confidence: float, tests: int) -> list[tuple[str, bool]]:
    """All that is said of an environment: sentences, and whether something is told by each."""
    said = [(verdict(v, found.env, confidence, tests), v.told(confidence)) for v in found.verdicts]
    said += [(sentence, True) for sentence in optimum(found)]
    return said + [(sentence, False) for sentence in absent(found)]


def verdict(found: Verdict, env: str, confidence: float, tests: int) -> str:
    """Who is better on an environment and how sure that is, or that the data cannot tell.

    Args:
        found: what is known of the pair.
        env: the environment's name.
        confidence: of the interval; one less that is the level of the test.
        tests: among how many Holm's correction was made.
    """
    said = _judged(found, env, confidence, tests)
    losers = [s for s in (found.better, found.worse) if s.failed]
    if not losers:
        return said
    lost = [
        f"{s.failed} of {count(len(s.values) + s.failed, 'seed')} of {s.contender}" for s in losers
    ]
    are = _are(sum(s.failed for s in losers))
    return f"{said.removesuffix('.')}; {listing(lost)} failed and {are} left out."


def _judged(found: Verdict, env: str, confidence: float, tests: int) -> str:
    """A verdict on the runs that there are."""
    a, b, difference = found.better, found.worse, found.difference
    if not math.isfinite(difference.half_width):
        return _ahead(a, b, env)
    if difference.half_width == 0 and found.p_value == 1:
        if found.is_test:
            level = f"{_mean(a)} in every run, {_basis(a, b)}"
            return f"{a.contender} and {b.contender} are level on {env}: {level}."
        return f"{a.contender} and {b.contender} are equally good on {env}: {_mean(a)} exactly."
    numbers = f"difference {number(difference.mean)}"
    if not found.is_test:
        return f"{a.contender} is better than {b.contender} on {env}: {numbers}, exactly."
    limits = f"{number(difference.low)} to {number(difference.high)}"
    numbers += f", {percent(confidence)} interval {limits}, {_basis(a, b)}"
    if found.told(confidence):
        return f"{a.contender} is better than {b.contender} on {env}: {numbers}."
    counted = ""
    if found.p_value <= 1 - confidence:
        counted = f", among {tests} comparisons,"
    sentence = (
        f"The data cannot tell{counted} {a.contender} from {b.contender} on {env}: {numbers}."
    )
    if found.needed is None:
        return sentence
    needed = f"{found.needed:,}{' or more' if found.needed >= MOST_SEEDS else ''}"
    return f"{sentence} To tell a difference as large would take about {needed} seeds."


def _ahead(a: Scores, b: Scores, env: str) -> str:
    """Of a pair that has no interval: one seed, or one episode, on a side."""
    one = any(s.learns and len(s.values) == 1 for s in (a, b))
    thin = f"one {'seed' if one else 'episode'} shows, it does not prove"
    if a.estimate.mean == b.estimate.mean:
        return f"{a.contender} and {b.contender} are level on {env}, at {_mean(a)}; {thin}."
    means = f"{_mean(a)} against {_mean(b)}"
    return f"{a.contender} is ahead of {b.contender} on {env}, {means}; {thin}."


def _mean(scores: Scores) -> str:
    return number(scores.estimate.mean)


def _basis(a: Scores, b: Scores) -> str:
    """What an interval rests on: `10 seeds`, `10 and 8 seeds`, `100 episodes`."""
    seeds = dict.fromkeys(len(s.values) for s in (a, b) if s.learns)
    if len(seeds) == 2:
        return f"{listing([str(n) for n in seeds])} seeds"
    for many in seeds:
        return count(many, "seed")
    episodes = a.outcomes[0].evaluation["episodes"]
    return count(episodes, "episode") if episodes else "one stream of steps each"


def absent(found: Findings) -> list[str]:
    """Who has no score at all."""
    return [
        f"{name} has no score on {found.env}: {count(failed, 'run') if failed else 'it'} failed."
        for name, failed in found.absent
    ]


def optimum(found: Findings) -> list[str]:
    """Who reaches the optimum, where that is known."""
    said = []
    for s in found.scores:
        if s.optimal:
            runs = len(s.values)
            seeds = f"all {runs} seeds" if s.optimal == runs else f"{s.optimal} of {runs} seeds"
            seeds = "its one seed" if runs == 1 else seeds
            where = f" with {seeds}" if s.learns else ""
            said.append(f"{s.contender} reaches the optimum exactly on {found.env}{where}.")
    return said


def introduction(found: Findings, episodes: int) -> str:
    """How the scores on an environment were measured."""
    evaluations = [o.evaluation for s in found.scores for o in s.outcomes]
    if found.exact:
        said = f"Scores are exact: each policy's {found.names.words}, computed from the model."
    elif all(e["episodes"] for e in evaluations):
        said = f"Scores are estimates from {count(episodes, 'episode')}, the same for all policies."
    else:
        said = "Scores are estimates from long streams of steps, the same for all policies."
    continuing = any(e["expected_return"] is None for e in evaluations)
    if found.optimum is not None:
        limit = "" if continuing else " without a time limit"
        said += f" The optimum{limit} is {number(found.optimum)}."
    if continuing:
        said += " The task never ends, so that it has no return: the average reward decides."
    return said


def aggregated(made: Aggregate | None, found: Sequence[Findings]) -> list[str]:
    """Over which environments runs are taken together, on what scale, and whose are left out."""
    said = []
    if made is None:
        said.append("The environments have no scale in common: only who scores higher is shown.")
    elif made.scale:
        said.append(f"On one scale: 0 is what random play is worth, 1 is {made.scale}.")
    if made and (left := [f.env for f in found if f.env not in made.environments]):
        said.append(f"Left out of means and profiles, for want of a scale: {listing(left)}.")
    failed: Counter[str] = Counter()
    for f in found:
        failed.update({s.contender: s.failed for s in f.scores} | dict(f.absent))
    kept = learners(found)
    learnt = dict.fromkeys(s.contender for f in found for s in f.scores if s.learns)
    for name in [*learnt, *(n for n in failed if n not in learnt and failed[n])]:
        why = f": {count(failed[name], 'run')} of it failed" if failed[name] else ""
        if name not in kept:
            said.append(f"{name} is left out, without two seeds on each environment{why}.")
        elif why:
            said.append(f"{name} counts by the runs that are left{why}.")
    return said


def lone(found: Sequence[Findings]) -> str:
    """Why no runs are taken together, where nobody has several; or nothing."""
    learnt = any(s.learns for f in found for s in f.scores)
    if not learnt or learners(found):
        return ""
    return "No contender has two seeds or more on every environment: nothing is taken together."


def restarts(found: Sequence[Findings]) -> list[str]:
    """Which runs took several sessions, and whether they kept what they had learnt."""
    said = []
    for f in found:
        for s in f.scores:
            again = [o for o in s.outcomes if len(o.sessions) > 1]
            fresh = [o for o in again if any("started_over" in x for x in o.sessions)]
            kept = [o for o in again if o not in fresh]
            for runs, how in ((kept, "went on from its last checkpoint"), (fresh, "started over")):
                if not runs:
                    continue
                seeds = [str(o.seed) for o in runs]
                which = f"seed{'' if len(seeds) == 1 else 's'} {listing(seeds)}"
                said.append(f"{s.contender} on {f.env}, {which}: interrupted, and {how}.")
    return said


def side_by_side(session: Mapping[str, Any]) -> str:
    """How a study was worked on: `2 runs by loky`."""
    jobs, backend = session["jobs"], session["backend"]
    return (
        f"all that a {backend} cluster has"
        if jobs is None
        else f"{count(jobs, 'run')} by {backend}"
    )


def command(comparison: Comparison) -> str:
    """What makes the report again; by the clock with as many runs side by side as the last time."""
    jobs = comparison.sessions[-1]["jobs"] if comparison.sessions else None
    bounded = comparison.study.minutes is not None and jobs is not None
    return f"gridcade compare study.toml{f' --jobs {jobs}' if bounded else ''}"


def again(study: Study) -> str:
    """What comes of running the study again."""
    if study.minutes is None:
        same = "The same study gives the same scores."
    else:
        same = "Runs are bounded by the clock: a busier machine gives other scores."
    return f"{same} The figures lie beside this page in figures/, as SVG and PNG."
