// Reports of comparisons, and videos.

import { $, make } from "../dom.js";
import { fileAddress } from "./requests.js";

let shown = ""; // the files that are shown, as text

/** Shows the studies with their reports, and the videos, which are loaded when they are opened. */
export function showFiles({ studies, videos }) {
  const text = JSON.stringify([studies, videos]);
  if (text === shown) return; // a video may be playing
  shown = text;
  $("studies").replaceChildren(...studies.map(studyItem));
  $("videos").replaceChildren(...videos.map(videoItem));
  $("no-files").hidden = Boolean(studies.length || videos.length);
}

function studyItem({ name, contenders, environments, seeds, report }) {
  const item = make("li");
  const title = `${contenders.join(", ")} on ${environments.join(", ")}`;
  if (report) {
    const link = make("a", title);
    link.href = fileAddress(report);
    link.target = "_blank";
    link.rel = "noopener";
    item.append(link);
  } else {
    item.append(make("span", title));
  }
  const about = `${name}, ${seeds} ${seeds === 1 ? "seed" : "seeds"}${report ? "" : "; no report yet"}`;
  item.append(make("small", about));
  return item;
}

function videoItem(name) {
  const details = make("details");
  details.append(make("summary", name));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const isPicture = name.endsWith(".webp"); // animated
    const player = make(isPicture ? "img" : "video");
    if (isPicture) player.alt = `Video ${name}`;
    else Object.assign(player, { controls: true, muted: true, loop: true, preload: "metadata" });
    player.src = fileAddress(name);
    details.append(player);
  });
  return details;
}
