// The tour of the Arcade page.

export const TOUR = [
  {
    id: "policy-form",
    title: "Who plays",
    text: "Choose a shipped agent, or one of your runs and its checkpoint, and the game.",
  },
  {
    id: "play",
    title: "Watch it",
    text: "Play shows every frame of the emulator. The slider beside it sets the speed, and Take over gives the keys to you.",
  },
  {
    id: "actions-title",
    title: "What it predicts",
    text: "A bar for each action: the return that the network expects after it. The best one and the one taken are marked.",
  },
  {
    id: "curve-title",
    title: "Back in time",
    text: "The curve is the predicted value over the game. Click on it, or move the slider above it, to return to a step.",
  },
  {
    id: "what-if-title",
    title: "What if",
    text: "Pause and try another action: continuations of the game show whether the prediction was right.",
  },
];
