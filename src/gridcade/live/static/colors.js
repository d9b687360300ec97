// Colors: viridis for numbers, and the page's own colors from its style sheet.

// Evenly spaced colors of matplotlib's viridis (Smith & van der Walt 2015).
const ANCHORS = [
  [68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140],
  [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37],
];
export const LEVELS = 256;
// From this level on, dark text has more contrast than white text.
export const LIGHT_LEVEL = 140;

/** The red, green and blue parts of each level.  [LEVELS][3]. */
export const VIRIDIS = Array.from({ length: LEVELS }, (_, level) => {
  const place = (level / (LEVELS - 1)) * (ANCHORS.length - 1);
  const i = Math.min(Math.floor(place), ANCHORS.length - 2);
  return ANCHORS[i].map((low, k) => Math.round(low + (place - i) * (ANCHORS[i + 1][k] - low)));
});
export const VIRIDIS_CSS = VIRIDIS.map((rgb) => `rgb(${rgb})`);

/** Reads the colors of the present scheme (light or dark) from the style sheet. */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const names = [
    "paper", "ink", "muted", "rule", "wall", "wall-edge", "floor", "grid", "accent", "best",
    "second", "agent", "warn", "faint", "goal", "pit", "portal", "wind",
  ];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Draws the scale of a legend into a canvas of LEVELS x 1 pixels. */
export function drawScale(canvas) {
  const context = canvas.getContext("2d");
  VIRIDIS_CSS.forEach((color, level) => {
    context.fillStyle = color;
    context.fillRect(level, 0, 1, 1);
  });
}
