// Keeps what a reader has unfolded open when the server sends that part of the page anew.
(() => {
  "use strict";

  const open = new Set(); // ids of what is unfolded in the parts that are about to be replaced

  document.addEventListener("htmx:beforeSwap", (event) => {
    for (const details of event.detail.target.querySelectorAll("details[id][open]")) open.add(details.id);
  });

  // Also fired for a part that was put in the place of its target.
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    open.clear();
  });
})();
