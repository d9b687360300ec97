// The state of the Runs page that its address holds.

export const DEFAULTS = {
  runs: "", // names of the chosen runs, joined by joinNames; "": the newest ones
  sort: "-started", // column of the table; "-": descending
  filter: "",
  x: "steps",
  measure: "", // "": return, or average reward where no run has a return
  different: false, // show only settings that differ
  large: false,
};

/** Joins names into one text; commas in names are escaped. */
export function joinNames(names) {
  return names.map((name) => name.replace(/[%,]/g, encodeURIComponent)).join(",");
}

/** Splits what joinNames joined. */
export function splitNames(text) {
  return text.split(",").filter(Boolean).map((name) => {
    try {
      return decodeURIComponent(name);
    } catch {
      return name; // a damaged escape sequence
    }
  });
}
