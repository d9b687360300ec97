// Keeps the state of the page in its address (after the #), so that reloading or sharing restores it.

const TABLES = { parameters: "p", parameters2: "p2" }; // table -> prefix of its entries

/** Returns the table and the key of an entry such as "p.discount"; [] for other entries. */
function tableEntry(name) {
  const [prefix, ...rest] = name.split(".");
  const table = Object.keys(TABLES).find((each) => TABLES[each] === prefix && rest.length);
  return table ? [table, rest.join(".")] : [];
}

/**
 * Reads the state from the address. Unknown names and damaged maps are ignored.
 *
 * Args: defaults: {name: text or boolean}, the page's state without an address. The names in TABLES
 * are tables of texts, and `map` is a long text, which is compressed in the address.
 */
export async function readAddress(defaults) {
  const fields = new URLSearchParams(location.hash.slice(1));
  const state = structuredClone(defaults);
  for (const [name, text] of fields) {
    const [table, key] = tableEntry(name);
    if (table in defaults) state[table][key] = text;
    else if (name === "map" && "map" in defaults) state.map = await inflate(text).catch(() => "");
    else if (typeof defaults[name] === "boolean") state[name] = text === "1";
    else if (typeof defaults[name] === "string") state[name] = text;
  }
  return state;
}

let newestWrite = 0;

/** Writes the state that differs from the defaults into the address; adds no entry to the history. */
export async function writeAddress(state, defaults) {
  const write = ++newestWrite;
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (name in TABLES) Object.entries(value).forEach(([key, text]) => fields.set(`${TABLES[name]}.${key}`, text));
    else if (name === "map") value && fields.set("map", await deflate(value));
    else if (value !== defaults[name]) fields.set(name, typeof value === "boolean" ? String(Number(value)) : value);
  }
  if (write !== newestWrite) return; // a later call was faster, because compressing a map takes time
  history.replaceState(null, "", `${location.pathname}${location.search}#${fields}`);
}

async function deflate(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function inflate(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}
