"""Other names of hyperparameters and settings, from papers and from other libraries.

Messages about unknown options and fields use them: `--gamma` is discount in Gridcade.
"""

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from inspect import signature
from typing import Any

from gridcade.errors import InputError

NEAR = 0.6  # similarity of a mistyped name

# Each line has names of one thing: fields of agents and options of commands, then other names. The
# first line with a known name decides, so that n_steps is a rollout only where agents have one.
SYNONYMS = tuple(
    tuple(line.split())
    for line in """
step_size learning_rate alpha lr stepsize
discount gamma discount_factor discount_rate discounting
epsilon.initial exploration_initial_eps epsilon_start eps_start start_e initial_epsilon epsilon_max
epsilon.final exploration_final_eps epsilon_end eps_end end_e final_epsilon epsilon_min min_epsilon
epsilon.steps exploration_fraction epsilon_decay eps_decay epsilon_decay_steps exploration_steps
epsilon exploration_initial_eps exploration_final_eps eps exploration exploration_rate
initial_value initial_values initial_q q_init init_value optimistic_value optimism
average_reward_step_ratio eta average_reward_step_size reward_rate_step_size
criterion objective setting
planning_steps planning n_planning num_planning_steps planning_updates simulated_steps n
exploration_bonus kappa bonus
network policy architecture arch model net q_network
hidden policy_kwargs layers hidden_layers hidden_size hidden_sizes hidden_units units net_arch
clip_rewards clip_reward reward_clip reward_clipping clip
overlap asynchronous async
fast optimized
bfloat16 bf16 precision dtype amp half
init_layers transfer_layers load_layers loaded_layers
freeze frozen freeze_layers
device cuda gpu use_cuda use_gpu
replay_capacity buffer_size replay_size memory_size memory buffer capacity replay buffer_capacity
learn_start learning_starts learn_starts warmup warmup_steps min_replay_size replay_start_size
batch_size batch minibatch minibatch_size batchsize
minibatches num_minibatches n_minibatches batch_size minibatch minibatch_size batch
n_step nstep multi_step n_steps
held_out holdout heldout
update_every train_freq train_frequency update_frequency update_freq train_every
target_every target_update_interval target_update target_update_frequency target_update_freq
target_every target_network_frequency target_network_update_freq target_interval sync_every
tau polyak
average_over averaging weight_averaging ema ema_decay swa
gradient_steps updates_per_step utd
optimizer optim optimiser
loss loss_function loss_fn
trace_decay gae_lambda lambda lam td_lambda q_lambda lambda_ trace
rollout n_steps num_steps rollout_length rollout_steps unroll_length horizon
epochs n_epochs num_epochs update_epochs
max_grad_norm grad_clip gradient_clip clip_grad grad_norm gradient_clipping clip_grad_norm
ent_coef entropy_coef entropy_coefficient entropy
vf_coef value_coef value_coefficient value_loss_coef
clip_range clip_eps clip_epsilon clip_coef
steps total_timesteps timesteps total_steps num_timesteps max_steps num_steps n_steps frames
minutes time time_limit max_time
seed seeds random_seed rng_seed num_seeds n_seeds
seeds seed num_seeds n_seeds runs repeats repetitions
envs num_envs n_envs n_env environments parallel_envs num_workers workers
jobs num_workers n_jobs workers num_jobs processes
episodes num_episodes n_episodes max_episodes eval_episodes n_eval_episodes n
evaluation_episodes eval_episodes n_eval_episodes num_eval_episodes
evaluation_every eval_every eval_freq eval_frequency evaluation_interval eval_interval
epoch epoch_length checkpoint_every save_every save_freq checkpoint_freq log_every log_interval
out output output_dir out_dir dir folder logdir log_dir run_dir save_dir save name run_name
init_from load load_from pretrained checkpoint from_run load_path
config config_file
env environment env_id env_name environment_id game world task
environments envs env environment env_id tasks
contenders agents algorithms algos policies
agent algo algorithm method
policy run checkpoint agent model
hyperparameters hyperparams params hyper_parameters
criterion metric measure
confidence confidence_level level
where in mode render_mode render
video record save_video
fps speed
no_browser no_open no_open_browser headless
initial start begin
final end last
steps decay decay_steps duration anneal_steps
""".strip().splitlines()
)

# Names without a synonym: name -> field that must be known, field to show, sentence.
NOTES = {
    **dict.fromkeys(
        ("tau", "polyak"),
        ("target_every", "target_every", "the target network is copied whole; {} sets how often"),
    ),
    **dict.fromkeys(
        ("episodes", "num_episodes", "n_episodes", "max_episodes"),
        ("evaluation_episodes", "steps", "a run's budget is {} or {minutes}, not episodes"),
    ),
    **dict.fromkeys(
        ("seeds", "num_seeds", "n_seeds"),
        ("evaluation_episodes", "seed", "a run has one {}; for several: gridcade compare"),
    ),
    # Only tabular agents have initial values.
    **dict.fromkeys(
        ("criterion", "average_reward_step_ratio"),
        (
            "initial_value",
            "criterion",
            "this agent maximizes the discounted return; q-learning and sarsa have {}",
        ),
    ),
}


def synonyms(name: str, known: Collection[str]) -> list[str]:
    """Return the known names that mean the same as another name; empty if there are none."""
    name = field_name(name)
    for names in SYNONYMS:
        if name in names and (found := [n for n in names if n in known and n != name]):
            return found
    root, dot, leaf = name.partition(".")
    if not dot:
        return []
    leaves: dict[str, list[str]] = {}  # known fields of fields: epsilon -> initial, final, ...
    for field in (n.partition(".") for n in known if "." in n):
        leaves.setdefault(field[0], []).append(field[2])
    roots = [root] if root in leaves else synonyms(root, leaves)
    return [
        f"{r}.{right}"
        for r in roots
        for right in ([leaf] if leaf in leaves[r] else synonyms(leaf, leaves[r]))
    ]


def hint(name: str, known: Collection[str], owner: str = "") -> str:
    """Return the end of an error about an unknown name, which suggests the right one.

    Args:
        name: the unknown name, of a field or of an option (`--gamma`).
        known: the names of the fields that exist.
        owner: the name of what has these fields, such as an agent; empty: Gridcade.
    """
    option = name.startswith("--")

    def shown(field: str) -> str:
        return f"--{field.replace('_', '-')}" if option else field

    condition, field, sentence = NOTES.get(field_name(name), ("", "", ""))
    if condition in known:
        return sentence.format(shown(field), minutes=shown("minutes"))
    if found := synonyms(name, known):
        return f"{owner or 'Gridcade'} calls it {' or '.join(map(shown, found))}"
    for near in get_close_matches(field_name(name), known, n=1, cutoff=NEAR):
        return f"did you mean {shown(near)}?"
    return f"known: {', '.join(map(shown, sorted(known)))}"


def check_options(
    function: Callable[..., Any], options: Iterable[str], keys: Iterable[str]
) -> None:
    """Raise InputError, with the right name, at an option that a function of the API does not have.

    Args:
        function: the function, which takes the options as `**options`.
        options: the names that the caller passed in `**options`.
        keys: the names that are valid there.
    """
    known = {*signature(function).parameters, *keys} - {"options"}
    for name in options:
        if name not in known:
            right = hint(name, known, function.__name__)
            raise InputError(f"unknown option '{name}' of {function.__name__}; {right}")


def field_name(option: str) -> str:
    """Return the name of an option as a field: `--step-size` -> `step_size`."""
    return option.lstrip("-").lower().replace("-", "_")
