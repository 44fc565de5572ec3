"use strict";
// Makes the headings of every table.sort sort its lines. The first click on a
// column of numbers puts the largest first.
for (const table of document.querySelectorAll("table.sort")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, i) => {
    const c = row.cells[i];
    const text = c.dataset.v ?? c.textContent.trim();
    return text !== "" && !isNaN(text) ? Number(text) : text.toLowerCase();
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rows = Array.from(body.rows);
      const numeric = rows.every((r) => typeof value(r, i) === "number");
      const was = head.getAttribute("aria-sort");
      const down = was ? was === "ascending" : numeric;
      rows.sort((a, b) => {
        const x = value(a, i), y = value(b, i);
        const order = numeric ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
        return down ? -order : order;
      });
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows);
    });
  });
}
