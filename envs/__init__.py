"""Environments, registered with Gymnasium under `gridcade/`.

Gridworlds and other small worlds have an exact model; Atari games run in the Arcade Learning
Environment with the preprocessing of Mnih et al. `registry` finds an environment by name. This
package imports no other package of Gridcade.
"""

import gymnasium as gym

from gridcade.envs.maps import MAPS

for _map in sorted(MAPS.glob("*.txt")):
    gym.register(
        id=f"gridcade/{_map.stem}-v0",
        entry_point="gridcade.envs.gridworld:GridWorld",
        kwargs={"world": _map.stem},
    )
gym.register(id="gridcade/GridWorld-v0", entry_point="gridcade.envs.gridworld:GridWorld")
gym.register(id="gridcade/Maze-v0", entry_point="gridcade.envs.maze:Maze")
gym.register(id="gridcade/RiverSwim-v0", entry_point="gridcade.envs.riverswim:RiverSwim")
gym.register(
    id="gridcade/MaximizationBias-v0",
    entry_point="gridcade.envs.book.maximization_bias:MaximizationBias",
)
for _maze in ("BlockingMaze", "ShortcutMaze"):
    gym.register(
        id=f"gridcade/{_maze}-v0", entry_point=f"gridcade.envs.book.changing_mazes:{_maze}"
    )
gym.register(
    id="gridcade/GamblersProblem-v0",
    entry_point="gridcade.envs.book.gamblers_problem:GamblersProblem",
)
gym.register(
    id="gridcade/JacksCarRental-v0",
    entry_point="gridcade.envs.book.jacks_car_rental:JacksCarRental",
)
gym.register(id="gridcade/DeepSea-v0", entry_point="gridcade.envs.deep_sea:DeepSea")
