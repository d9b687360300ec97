// The state of the Arcade page that its address holds.

export const DEFAULTS = {
  policy: "breakout",
  checkpoint: "", // steps; "": the last one
  env: "", // "": the policy's own
  seed: "0",
  game: "0", // number of the game with this seed, from 0
  step: "0", // of the game, while it is paused
  epsilon: "", // "": as in evaluations
  sample: false,
  speed: "1",
  zoom: false,
  large: false,
};
