"use strict";
// Extras only: every number of the page is readable without this script.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.title = "Sort by this column";
    head.append(button);
    button.addEventListener("click", () => sort(table, heads, head));
  }
}
function sort(table, heads, head) {
  const rises = head.getAttribute("aria-sort") !== "ascending";
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rises ? "ascending" : "descending");
  const place = head.cellIndex;
  const key = row => {
    const cell = row.cells[place];
    if (cell === undefined) return null;
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const isMissing = value => value === null || value === "–";
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter(row => !row.classList.contains("heading"));
    rows.sort((one, other) => {
      const a = key(one), b = key(other);
      if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return rises ? order : -order;
    });
    body.append(...rows);
  }
}
for (const details of document.querySelectorAll("details.latex")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy LaTeX";
  button.addEventListener("click", async () => {
    const source = details.querySelector("pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      details.open = true;
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy LaTeX"; }, 1500);
  });
  details.before(button);
}
