// Pictures from the server: gridcade/live/arcade/picture.py describes their bytes.

/** Reads a picture: returns its header, with `screens` and `stack` as arrays of images. */
export async function readPicture(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const bytes = await inflate(new Uint8Array(buffer, 4 + length));
  const [count, height, width, channels = 1] = header.screens;
  const size = height * width * channels;
  const [frames, rows = 0, columns = 0] = header.stack;
  const images = (number, first, length_) =>
    Array.from({ length: number }, (_, i) => bytes.subarray(first + i * length_, first + (i + 1) * length_));
  return {
    ...header,
    screens: images(count, 0, size).map((pixels) => ({ pixels, height, width, channels })),
    stack: rows ? images(frames, count * size, rows * columns).map((pixels) => ({ pixels, height: rows, width: columns })) : [],
  };
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const GRAY = Uint32Array.from({ length: 256 }, (_, level) => rgba(level, level, level));

function rgba(red, green, blue) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // little-endian, as on all common machines
}

/** Converts a palette, [256][3], to a table of pixel colors, [256]. */
export function paletteTable(palette) {
  return Uint32Array.from(palette, ([red, green, blue]) => rgba(red, green, blue));
}

/** Draws an image into a canvas. Args: table: the color of each number; default: gray. */
export function drawImage(canvas, { pixels, height, width, channels = 1 }, table = GRAY) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const target = new Uint32Array(image.data.buffer);
  if (channels === 3) {
    for (let i = 0, j = 0; i < target.length; i++, j += 3) target[i] = rgba(pixels[j], pixels[j + 1], pixels[j + 2]);
  } else {
    for (let i = 0; i < target.length; i++) target[i] = table[pixels[i]];
  }
  context.putImageData(image, 0, 0);
}
