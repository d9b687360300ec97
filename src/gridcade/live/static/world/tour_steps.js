// The tour of the World page.

export const TOUR = [
  {
    id: "run",
    title: "Let it learn",
    text: "Run, or the space bar, starts the agent. The slider beside it sets the speed, from one step per second to millions.",
  },
  {
    id: "canvas",
    title: "What it has learned",
    text: "Colors are the values of the cells, arrows the greedy policy, and the disc is the agent. Point at a cell to see its numbers beside the exact ones.",
  },
  {
    id: "exact-title",
    title: "How good it is",
    text: "The line is the exact value of the greedy policy over the steps. The dashed line is the optimum. No policy can be above it.",
  },
  {
    id: "palette",
    title: "Change its world",
    text: "Choose a wall, draw it into a doorway while the agent learns, and watch the policy find another way. Undo takes a change back.",
  },
  {
    id: "update-title",
    title: "One update",
    text: "One step shows the update rule with its numbers. The cells of its states are marked in the world.",
  },
];
