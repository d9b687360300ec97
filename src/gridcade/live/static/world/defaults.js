// The state of the World page that its address holds.

export const DEFAULTS = {
  world: "FourRooms",
  map: "", // text of an edited or opened map; "": the registered world
  agent: "q-learning",
  parameters: {}, // {name: text}: those that differ from their defaults
  agent2: "", // of the second lane; "": there is none
  parameters2: {}, // of the second lane
  seed: "0",
  speed: "200", // steps per second; "max": as fast as possible
  cells: "learnt",
  measure: "", // "": the measure of the learner's criterion
  arrows: true,
  triangles: false,
  numbers: false,
  wrong: false,
  path: true,
  log: true,
  large: false,
  predict: false, // whether the person draws a policy
  criterion: "", // of the prediction; "": as in the puzzle or the learner
  discount: "", // of the prediction; "": as in the puzzle or the learner
};
