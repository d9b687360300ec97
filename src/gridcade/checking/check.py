"""Check an environment: what it is, who can learn there, and what its author should change."""

from collections.abc import Iterator
from dataclasses import replace

from gridcade import agents
from gridcade.checking.checkers import gymnasium_findings, sb3_findings
from gridcade.checking.findings import EnvCheck, Finding
from gridcade.checking.trials import episode_findings, play, render_findings, seed_finding
from gridcade.envs import registry
from gridcade.envs.guard import guarded
from gridcade.envs.known_models import declares_model, why_no_model
from gridcade.envs.masks import has_mask_method
from gridcade.envs.objects import EnvLike
from gridcade.envs.types import Env
from gridcade.errors import InputError, single_line
from gridcade.exact.model_check import check_model
from gridcade.experience.pool import EnvPool
from gridcade.training.config import read_recipe

MASKED = "This checker does not know action masks: it may have taken a forbidden action."


def check_environment(env: EnvLike) -> EnvCheck:
    """Check an environment; see `gridcade.api.check`."""
    with EnvPool(env, copies=True) as pool, pool.another() as others:
        single, fresh = guarded(pool.first), guarded(others.first)
        facts = _spaces(single)
        findings = list(_findings(single, fresh, facts))
        modes: list[str] = list((single.metadata or {}).get("render_modes") or ())
        facts["render modes"] = ", ".join(modes) or "none"
        if isinstance(env, str):
            findings += render_findings(env, modes)
        return EnvCheck(pool.label, facts, _agents(single), findings)


def _spaces(env: Env) -> dict[str, str]:
    limit = registry.time_limit(env)
    return {
        "observations": single_line(env.observation_space),
        "actions": single_line(env.action_space),
        "time limit": "none" if limit is None else f"{limit:,} steps",
    }


def _findings(env: Env, fresh: Env, facts: dict[str, str]) -> Iterator[Finding]:
    """Yield the findings, and add facts. Stop if the environment fails under random actions."""
    try:
        played = play(env)
    except InputError as error:
        yield _problem(error)
        return
    facts |= played.facts()
    facts["action masks"] = _masks(env, played.masked)
    yield from episode_findings(env, played)
    try:
        yield seed_finding(env, fresh)
        yield from _model(env, facts)
    except InputError as error:
        yield _problem(error)
    for finding in (*gymnasium_findings(fresh), *sb3_findings(fresh)):
        unfair = played.masked and finding.severity == "problem"
        yield replace(finding, severity="advice", todo=MASKED) if unfair else finding


def _problem(error: InputError) -> Finding:
    text = str(error)
    return Finding("problem", f"{text[0].upper()}{text[1:]}.")


def _masks(env: Env, masked: bool) -> str:
    """Describe where action masks come from."""
    if not masked:
        return "none"
    return "by the method action_masks" if has_mask_method(env) else 'in info["action_mask"]'


def _model(env: Env, facts: dict[str, str]) -> Iterator[Finding]:
    """Check a known model against the environment, and yield what was found."""
    facts["model"] = "not known"
    model = registry.known_model(env)
    if model is None:
        if reason := why_no_model(env):
            yield Finding("advice", f"{reason}.")
        return
    size = f"{model.num_states:,} states, {model.num_actions:,} actions"
    facts["model"] = f"{'declared' if declares_model(env) else 'known'}: {size}"
    yield Finding("ok", f"{check_model(env, model)}.".replace("the declared", "The", 1))


def _agents(env: Env) -> dict[str, str]:
    """Find out why each agent, with its preset, cannot learn in an environment; empty if it can."""
    reasons = {}
    for name, kind in agents.AGENTS.items():
        try:
            recipe = read_recipe(kind, kind.preset_for(env))
            kind.make(env, recipe.hyperparameters, 0)
            reasons[name] = ""
        except InputError as error:
            reasons[name] = str(error).removeprefix(f"{name} ")
    return reasons
