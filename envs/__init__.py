"""Gridcade's environments, registered with Gymnasium under `gridcade/`."""

import gymnasium as gym

from gridcade.envs.worldfile import MAPS

for _map in sorted(MAPS.glob("*.txt")):
    gym.register(
        id=f"gridcade/{_map.stem}-v0",
        entry_point="gridcade.envs.gridworld:GridWorld",
        kwargs={"world": _map.stem},
    )
gym.register(id="gridcade/GridWorld-v0", entry_point="gridcade.envs.gridworld:GridWorld")
gym.register(id="gridcade/Maze-v0", entry_point="gridcade.envs.maze:Maze")
gym.register(id="gridcade/RiverSwim-v0", entry_point="gridcade.envs.riverswim:RiverSwim")
