// Replaces an animated picture in a notebook by a player of its frames with controls. If scripts do
// not run, or the browser has no ImageDecoder, the picture stays as it is.
(async (id) => {
  const image = document.getElementById(id);
  if (!image || !window.ImageDecoder) return;
  image.removeAttribute("id"); // so that a second copy in the same notebook finds its own picture
  const data = Uint8Array.from(atob(image.src.split(",")[1]), (character) => character.charCodeAt(0));
  const decoder = new ImageDecoder({ data, type: "image/webp" });
  await decoder.tracks.ready;
  await decoder.completed; // before that, frames may still be missing
  const count = decoder.tracks.selectedTrack.frameCount;
  const make = (kind, fields) => Object.assign(document.createElement(kind), fields);
  const [player, canvas, bar] = [make("div"), make("canvas"), make("div")];
  const button = make("button", { type: "button" });
  const slider = make("input", { type: "range", min: 0, max: count - 1, value: 0, ariaLabel: "Step" });
  const text = make("span");
  canvas.style = "display: block; width: 100%";
  bar.style = "display: flex; gap: 0.6em; align-items: center; margin-top: 0.3em";
  slider.style = "flex: 1; min-width: 0";
  player.style = image.getAttribute("style");
  bar.append(button, slider, text);
  player.append(canvas, bar);

  const show = async (n) => {
    const { image: frame } = await decoder.decode({ frameIndex: n });
    [canvas.width, canvas.height] = [frame.displayWidth, frame.displayHeight];
    canvas.getContext("2d").drawImage(frame, 0, 0);
    const milliseconds = frame.duration / 1000;
    frame.close();
    slider.value = n;
    text.textContent = `${n + 1} / ${count}`;
    return milliseconds;
  };
  let duration = await show(0);
  let timer = 0; // of the next frame; 0: paused
  const play = () => {
    clearTimeout(timer);
    timer = setTimeout(next, duration);
    button.textContent = "Pause";
  };
  const pause = () => {
    clearTimeout(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const next = async () => {
    if (!player.isConnected) return pause(); // a notebook may show it again later
    duration = await show((Number(slider.value) + 1) % count);
    if (timer) play();
  };
  button.addEventListener("click", () => (timer ? pause() : play()));
  slider.addEventListener("input", () => {
    pause();
    show(Number(slider.value));
  });
  image.replaceWith(player);
  play();
})
