// Headings of tables marked `sortable` become buttons; without this the tables are as complete.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const falls = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      const body = table.tBodies[0];
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        const both = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        return (falls ? -1 : 1) * (both ? x - y : compare(x, y));
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
