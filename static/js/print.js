// The button that opens the browser's print dialogue.
(() => {
  "use strict";

  document.querySelector("[data-print]").addEventListener("click", () => window.print());
})();
