// Says which keys belong to the control that has the focus, and not to the page.

const TEXT_FIELDS = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea";
const USE_SPACE = "button, summary, a, input[type=checkbox], [type=file]";

/** Whether a control uses all keys as text. */
export function takesText(target) {
  return target.matches(TEXT_FIELDS);
}

/** Whether a control is pressed by Space. */
export function takesSpace(target) {
  return target.matches(USE_SPACE);
}
