// Requests to the server: see gridcade/live/runs/api.py.

/** Returns the address of a path on the server, with parameters and the page's token, if it has one. */
export function addressOf(path, parameters = {}) {
  const address = new URL(path, location.href);
  address.search = location.search;
  for (const [name, value] of Object.entries(parameters)) {
    [value].flat().forEach((each) => address.searchParams.append(name, each));
  }
  address.hash = "";
  return address.href;
}

/** Returns the address of a report or a video. */
export function fileAddress(name) {
  return addressOf(`runs/file/${name.split("/").map(encodeURIComponent).join("/")}`);
}

/** Requests a table. Throws an Error with one line of text if the server refuses or does not answer. */
export async function getTable(name, parameters = {}) {
  let response;
  try {
    response = await fetch(addressOf(`runs/${name}`, parameters));
  } catch {
    throw new Error("No connection to the server. Trying again.");
  }
  const isTable = response.headers.get("content-type")?.startsWith("application/json");
  const table = isTable ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Error(table.error);
  return table;
}
