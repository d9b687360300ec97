"""How good a policy is, and how sure one can be of that.

A policy is optimal if it maximises the expected average reward. That number (the gain), the
expected return and their kin are estimated from whole episodes, each with a seed of its own, the
same for every policy; each estimate has an interval; and where the model is known the exact value
of that very policy stands beside it.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from gridcade.agents.base import Policy, StochasticPolicy
from gridcade.agents.probabilities import sample_actions, with_epsilon
from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.evaluation import intervals
from gridcade.evaluation.intervals import Estimate
from gridcade.evaluation.policies import Human, Quit, RandomPolicy
from gridcade.exact import solver
from gridcade.exact.values import Exact, exact_values, policy_table, two_values
from gridcade.experience.vector import make_vector, reset
from gridcade.seeding import Purpose, check_seed, episode_seed, episode_stream

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]  # done, of how many

DEFAULT_EPISODES = 100
DEFAULT_STEPS = 100_000  # steps, of a continuing task
PILOT_EPISODES = 50
PILOT_SHARE = 4  # a pilot is this share of the episodes that precision asks for, or PILOT_EPISODES
MAX_EPISODES = 10_000  # that a wish for precision is granted
LONGEST_EPISODE = 100_000  # steps, where an environment has no time limit
STREAMS = 8  # side by side, of a continuing task
BATCHES = 24  # of batch means
DISCOUNTED_AWAY = 1e-4  # share of the weights, after which a stream is cut
ENVS = 16  # stepped side by side
ATARI_EPSILON = 0.05  # Mnih et al. (2013, 2015)


@dataclass(frozen=True)
class Evaluation:
    """What a policy was measured to be worth. None where a task has no such thing."""

    env: str
    policy: str
    episodes: int | None
    steps: int
    confidence: float
    seed: int
    epsilon: float  # probability of a random action that was mixed in
    stochastic: bool  # by the policy's probabilities, not greedily
    discount: float  # of the discounted return
    expected_return: Estimate | None
    average_reward: Estimate  # a step: the gain
    discounted_return: Estimate | None
    episode_length: Estimate | None  # steps
    truncated: float | None  # share of episodes
    exact: Exact | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, fit for JSON: estimates as mean, low, high; infinities and nan as None.

        `notes` holds a sentence for each thing that a reader should know of the numbers.
        """
        plain = asdict(self)
        for key, value in plain.items():
            if isinstance(getattr(self, key), Estimate):
                plain[key] = {k: finite(value[k]) for k in ("mean", "low", "high")}
        if self.exact is not None:
            plain["exact"] = {key: finite(value) for key, value in plain["exact"].items()}
        plain["notes"] = list(self.notes)
        return plain


@dataclass(frozen=True)
class Episodes:
    """What whole episodes came to.  Each [episodes], in the order of their numbers."""

    returns: Floats
    lengths: Floats  # steps
    discounted: Floats
    truncated: NDArray[np.bool_]


def evaluate_policy(
    policy: Policy,
    env: str | gym.Env[Any, Any],
    *,
    episodes: int | None = None,
    steps: int | None = None,
    precision: float | None = None,
    seed: int = 0,
    epsilon: float | None = None,
    stochastic: bool = False,
    confidence: float = 0.95,
    discount: float = 0.99,
    name: str = "",
    progress: Progress | None = None,
    purpose: Purpose = "evaluation",
) -> Evaluation:
    """Measure a policy on an environment.

    Args:
        policy: anything that predicts as stable-baselines3 does.
        env: a name, or an environment (which is reset, stepped, and not closed).
        episodes: whole episodes to play.
        steps: steps to take. On an episodic task they fix, by a pilot, the number of whole
            episodes; a continuing task is measured by steps only.
        precision: relative half-width of the expected return's interval; a pilot fixes the number
            of episodes, at most MAX_EPISODES.
        seed: of the episodes.
        epsilon: probability of a uniformly random action, mixed in; None: 0, and ATARI_EPSILON on
            Atari games.
        stochastic: act by the policy's probabilities, not greedily.
        confidence: of the intervals.
        discount: of the discounted return.
        name: of the policy, for the record.
        progress: called with episodes (or steps, on continuing tasks) done, and in all.
        purpose: of the episodes. Those that choose a checkpoint, `validation`, are not those that
            tell what it is worth.

    Raises:
        InputError: an argument out of its range, more than one of episodes, steps and precision,
            episodes of a continuing task, or a policy that does not fit the environment.
    """
    _check(episodes, steps, precision, seed, confidence, discount)
    envs, single, label = _vector(env, episodes or steps or ENVS)
    try:
        actor = Actor(policy, single, epsilon, deterministic=not stochastic)
        model, limit = registry.known_model(single), registry.time_limit(single)
        continuing = model is not None and model.continuing
        if continuing and limit is not None:
            raise InputError(f"{label} is a continuing task: it takes no time limit")
        exact, notes = None, [*getattr(single.unwrapped, "notes", ())]
        if model is not None and (table := actor.table(single, model)) is not None:
            try:
                exact, said = exact_values(model, table, limit, discount)
            except solver.UnsolvableError as error:
                said = [f"no exact value: without a time limit {error}"]
            notes += said
        elif model is not None:
            notes.append("no exact value: this policy does not tell its action probabilities")
        if continuing:
            if episodes is not None or precision is not None:
                raise InputError(f"{label} never ends, so it has no episodes: ask for --steps")
            asked = steps or DEFAULT_STEPS
            gain, discounted = measure_streams(
                envs, actor, seed, asked, confidence, discount, progress, purpose
            )
            number, taken = None, asked // envs.num_envs * envs.num_envs
            expected = length = share = None
            notes.append("a continuing task: no return and no episode length")
        else:
            player = EpisodeRunner(envs, actor, discount, limit)
            planned, said = _budget(player, seed, episodes, steps, precision, confidence)
            played = player.play(planned, seed, purpose, progress)
            number, taken = len(played.returns), int(played.lengths.sum())
            expected, gain, discounted, length = estimates(
                played, confidence, two_values(model), player.longest
            )
            share = float(played.truncated.mean())
            notes += said + _played_notes(played, planned, expected, precision, limit)
    finally:
        if single is not env:
            envs.close()
            single.close()
    notes += [e.note for e in (expected, gain, discounted, length) if e is not None and e.note]
    if getattr(policy, "precision", "") == "bfloat16":
        notes.append("it acted in bfloat16: without units for it the same games end otherwise")
    return Evaluation(
        env=label,
        policy=name or type(policy).__name__,
        episodes=number,
        steps=taken,
        confidence=confidence,
        seed=seed,
        epsilon=actor.epsilon,
        stochastic=stochastic,
        discount=discount,
        expected_return=expected,
        average_reward=gain,
        discounted_return=discounted,
        episode_length=length,
        truncated=share,
        exact=exact,
        notes=tuple(dict.fromkeys(notes)),
    )


class Actor:
    """A policy as it is evaluated: greedy or not, with epsilon mixed in, by streams not its own."""

    def __init__(
        self, policy: Policy, env: gym.Env[Any, Any], epsilon: float | None, deterministic: bool
    ):
        if not isinstance(policy, Policy):
            raise InputError(f"a policy has predict(observation, …); {policy!r} has not")
        if epsilon is None:
            atari = env.spec is not None and env.spec.namespace == "ALE"
            epsilon = ATARI_EPSILON if atari else 0.0
        if not 0 <= epsilon <= 1:
            raise InputError(f"epsilon is {epsilon}; it is a probability, 0 to 1")
        space = env.action_space
        if epsilon and not isinstance(space, gym.spaces.Discrete):
            raise InputError("epsilon takes discrete actions; these are not")
        self.policy, self.epsilon, self.deterministic = policy, epsilon, deterministic
        self.num_actions = int(space.n) if isinstance(space, gym.spaces.Discrete) else 0
        self._state: Any = None

    def table(self, env: gym.Env[Any, Any], model: Model) -> Floats | None:
        """Its action probabilities in every state, as `gridcade.exact.values.policy_table` finds them."""
        if isinstance(self.policy, Human):  # a person is not asked about every state
            return None
        table = policy_table(self.policy, env, model, self.deterministic)
        return None if table is None else with_epsilon(table, self.epsilon)

    def act(
        self, observations: Any, starts: NDArray[np.bool_], rngs: list[np.random.Generator]
    ) -> NDArray[Any]:
        """Actions in n environments; each draws from the stream of its own episode."""
        if isinstance(self.policy, RandomPolicy):
            return np.array([self.policy.draw(rng) for rng in rngs])
        if isinstance(self.policy, StochasticPolicy):
            table = self.policy.probabilities(observations, self.deterministic)
            draws = np.array([rng.random() for rng in rngs])
            return sample_actions(with_epsilon(table, self.epsilon), draws)
        actions, self._state = self.policy.predict(
            observations, self._state, starts, self.deterministic
        )
        actions = np.array(actions)
        if self.epsilon:
            for i, rng in enumerate(rngs):
                if rng.random() < self.epsilon:
                    actions[i] = rng.integers(self.num_actions)
        return actions


class EpisodeRunner:
    """Plays whole episodes, each by its own number, whatever runs beside it."""

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        actor: Actor,
        discount: float,
        limit: int | None,
    ):
        self.envs, self.actor, self.discount = envs, actor, discount
        self.longest = limit or LONGEST_EPISODE

    def play(
        self, episodes: int, seed: int, purpose: Purpose, progress: Progress | None = None
    ) -> Episodes:
        """Play episodes 0 … episodes - 1 to their ends: none is dropped, none is picked.

        A person who quits leaves the episodes that were finished.
        """
        n = self.envs.num_envs
        sums = np.zeros((3, episodes))  # return, length, discounted
        cut = np.zeros(episodes, dtype=bool)
        current = np.arange(
            n
        )  # the episode number of each environment; those past the last are idle
        upcoming, done = n, 0
        seeds = [episode_seed(seed, purpose, 0, k) for k in range(n)]
        rngs = [episode_stream(s) for s in seeds]
        observations = reset(self.envs, seeds)
        starts = np.ones(n, dtype=bool)
        weights = np.ones(n)
        while done < episodes:
            try:
                actions = self.actor.act(observations, starts, rngs)
            except Quit:
                if not done:
                    raise InputError("no episode was finished: nothing to measure") from None
                sums, cut = sums[:, :done], cut[:done]
                break
            observations, rewards, terminated, truncated, _ = self.envs.step(actions)
            playing = current < episodes
            k = current[playing]
            sums[0, k] += rewards[playing]
            sums[1, k] += 1
            sums[2, k] += (weights * rewards)[playing]
            weights *= self.discount
            over_long = np.zeros(n, dtype=bool)
            over_long[playing] = sums[1, k] >= self.longest
            starts = terminated | truncated | over_long
            if not starts.any():
                continue
            finished = starts & playing
            cut[current[finished]] = ~terminated[finished]
            done += int(finished.sum())
            for env in np.flatnonzero(starts):
                current[env], upcoming = upcoming, upcoming + 1
                seeds[env] = episode_seed(seed, purpose, 0, int(current[env]))
                rngs[env] = episode_stream(seeds[env])
            weights[starts] = 1.0
            if progress is not None and finished.any():
                progress(done, episodes)
            if done < episodes:
                observations = reset(self.envs, seeds, starts)
        return Episodes(sums[0], sums[1], sums[2], cut)


def measure_streams(
    envs: VectorEnv[Any, Any, Any],
    actor: Actor,
    seed: int,
    steps: int,
    confidence: float,
    discount: float,
    progress: Progress | None = None,
    purpose: Purpose = "evaluation",
) -> tuple[Estimate, Estimate | None]:
    """The gain of a task without end, and the discounted return, from several streams.

    The gain by batch means, the streams' beginnings dropped. A stream is one sample of the
    discounted return, if it is so long that what would follow counts less than DISCOUNTED_AWAY.
    """
    n = envs.num_envs
    each = steps // n
    per_stream = max(1, BATCHES // n)
    if each < 4 * per_stream:
        raise InputError(f"{steps} steps are too few to measure by: take {4 * BATCHES} or more")
    seeds = [episode_seed(seed, purpose, i, 0) for i in range(n)]
    rngs = [episode_stream(s) for s in seeds]
    observations = reset(envs, seeds)
    starts = np.ones(n, dtype=bool)
    rewards = np.empty((n, each))
    for t in range(each):
        actions = actor.act(observations, starts, rngs)
        observations, rewards[:, t], _, _, _ = envs.step(actions)
        starts = np.zeros(n, dtype=bool)
        if progress is not None and t % 1000 == 0:
            progress(t * n, steps)
    gain = intervals.batch_means(rewards[:, each // 10 :], per_stream, confidence)
    if n == 1 or discount**each > DISCOUNTED_AWAY:
        return gain, None
    samples = rewards @ discount ** np.arange(each)
    return gain, intervals.mean_interval(samples, confidence, "discounted returns")


def estimates(
    played: Episodes,
    confidence: float,
    values: tuple[float, float] | None,
    longest: int | None,
) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """Expected return, average reward, discounted return and length, from whole episodes.

    Args:
        played: the episodes.
        confidence: of the intervals.
        values: the two returns there can be, if there are no others: see `two_values`.
        longest: steps after which an episode is cut; None: not known.
    """
    returns, lengths = played.returns, played.lengths
    return (
        intervals.return_interval(returns, confidence, values),
        intervals.average_reward_interval(returns, lengths, confidence, values, longest),
        _discounted(played.discounted, confidence, values),
        intervals.mean_interval(lengths, confidence, "lengths"),
    )


def _discounted(samples: Floats, confidence: float, values: tuple[float, float] | None) -> Estimate:
    if values is None:
        return intervals.mean_interval(samples, confidence, "discounted returns")
    return intervals.rarely_paid_interval(samples, values[0] or values[1], confidence)


def _budget(
    player: EpisodeRunner,
    seed: int,
    episodes: int | None,
    steps: int | None,
    precision: float | None,
    confidence: float,
) -> tuple[int, list[str]]:
    """How many episodes to play; a pilot's episodes are never counted again."""
    if steps is None and precision is None:
        return episodes or DEFAULT_EPISODES, []
    pilot = player.play(PILOT_EPISODES, seed, "pilot")
    if steps is not None:
        number = max(2, math.ceil(steps / pilot.lengths.mean()))
        return number, [f"{number} whole episodes, about {steps} steps by a pilot's lengths"]
    assert precision is not None  # noqa: S101 - for the type checker
    needed = intervals.episodes_needed(pilot.returns, precision, confidence)
    if needed is not None and needed > PILOT_SHARE * PILOT_EPISODES:
        # so few cannot tell the spread well: take a pilot as large as befits the task
        pilot = player.play(min(needed, MAX_EPISODES) // PILOT_SHARE, seed, "pilot")
        needed = intervals.episodes_needed(pilot.returns, precision, confidence)
    if needed is None:
        note = f"a pilot of {len(pilot.returns)} episodes tells no spread or no scale: "
        return MAX_EPISODES, [note + f"the cap of {MAX_EPISODES} episodes was played"]
    if needed > MAX_EPISODES:
        note = f"a precision of {precision:g} would take about {needed} episodes: "
        return MAX_EPISODES, [note + f"stopped at the cap of {MAX_EPISODES}"]
    return max(needed, PILOT_EPISODES), []


def _played_notes(
    played: Episodes,
    planned: int,
    expected: Estimate,
    precision: float | None,
    limit: int | None,
) -> list[str]:
    notes = []
    if len(played.returns) < planned:
        notes.append(f"{planned} episodes were to be played: who stops early may mislead")
    if precision is not None and expected.mean:
        reached = expected.half_width / abs(expected.mean)
        if reached > precision:
            notes.append(f"precision reached: {reached:.3g}, asked for: {precision:g}")
    if limit is None and (played.lengths >= LONGEST_EPISODE).any():
        notes.append(f"episodes were cut after {LONGEST_EPISODE} steps")
    return notes


def _vector(
    env: str | gym.Env[Any, Any], most: int
) -> tuple[VectorEnv[Any, Any, Any], gym.Env[Any, Any], str]:
    """Environments side by side, one of their kind to look at, and their name."""
    if isinstance(env, str):
        single = registry.make(env)
        model = registry.known_model(single)
        continuing = model is not None and model.continuing
        return make_vector(env, STREAMS if continuing else min(ENVS, most)), single, env
    if not isinstance(env, gym.Env):
        raise InputError(f"an environment is a name or a Gymnasium environment, not {env!r}")
    label = env.spec.id if env.spec else type(env.unwrapped).__name__
    return SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.DISABLED), env, label


def finite(value: float | None) -> float | None:
    """A number, or None where it is infinite or not a number: JSON has no word for those."""
    return value if value is not None and math.isfinite(value) else None


def _check(
    episodes: int | None,
    steps: int | None,
    precision: float | None,
    seed: int,
    confidence: float,
    discount: float,
) -> None:
    given = [("episodes", episodes), ("steps", steps), ("precision", precision)]
    if sum(value is not None for _, value in given) > 1:
        raise InputError("episodes, steps and precision: give one of them")
    for key, value in given[:2]:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise InputError(f"{key} is {value}; it takes a whole number, 1 or more")
    if precision is not None and not 0 < precision < 1:
        raise InputError(f"precision is {precision}; it takes more than 0 and less than 1")
    intervals.check_confidence(confidence)
    solver.check_discount(discount)
    check_seed(seed)
