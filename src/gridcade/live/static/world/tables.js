// Unpacks the tables of a picture.

/** Replaces the packed tables of a picture by rows of numbers, [states][actions]. */
export function unpackPicture(picture, actions) {
  const [q, policy] = [picture.q, picture.policy].map((text) => unpackRows(text, actions));
  // Without visits (of a planner), all values have the same number of updates.
  const visits = picture.visits ? unpackRows(picture.visits, actions) : q.map((row) => row.map(() => 1));
  return { ...picture, q, visits, policy };
}

/** Reads rows of numbers from base64 of little-endian float32. */
function unpackRows(text, columns) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const numbers = new Float32Array(bytes.buffer); // all common machines are little-endian
  return Array.from({ length: numbers.length / columns }, (_, row) =>
    Array.from(numbers.subarray(row * columns, (row + 1) * columns)));
}
