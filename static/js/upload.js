// Uploads in pieces: the server says how much of a file it has, so a broken line or a reload costs one piece at most.
(() => {
  "use strict";

  const zone = document.getElementById("dropzone");
  const list = document.getElementById("uploads");
  const url = zone.dataset.url;
  const PIECE = Number(zone.dataset.pieceBytes);
  const PAUSE_MAX = 15; // [s]
  const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  const queue = [];
  let busy = false;

  class Refused extends Error {}

  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

  function address(item, offset) {
    const query = new URLSearchParams({ name: item.name, size: item.file.size });
    if (offset !== undefined) query.set("offset", offset);
    return `${url}?${query}`;
  }

  async function answerOf(response) {
    if (response.ok || response.status === 409) return (await response.json()).offset;
    if (response.status === 400) throw new Refused((await response.json()).error);
    if (response.status === 403 || response.status === 404) throw new Refused("You are signed out or this is not yours. Load the page again.");
    throw new Error(`the server answered ${response.status}`);
  }

  async function send(item) {
    let offset = null;
    let failures = 0;
    while (offset === null || offset < item.file.size || item.file.size === 0) {
      try {
        if (offset === null) {
          offset = await answerOf(await fetch(address(item)));
        } else {
          const body = item.file.slice(offset, offset + PIECE);
          offset = await answerOf(await fetch(address(item, offset), {
            method: "POST", body, headers: { "X-CSRFToken": token, "Content-Type": "application/octet-stream" },
          }));
          if (item.file.size === 0) return;
        }
        failures = 0;
        item.show(offset);
      } catch (error) {
        if (error instanceof Refused) throw error;
        failures += 1;
        offset = null; // ask again where it stands
        const seconds = Math.min(PAUSE_MAX, 2 ** failures);
        item.say(`The line broke; trying again in ${seconds} s`);
        await pause(seconds);
      }
    }
  }

  async function work() {
    if (busy) return;
    busy = true;
    while (queue.length) {
      const item = queue.shift();
      try {
        await send(item);
        item.say("Arrived");
        item.bar.value = 1;
      } catch (error) {
        item.say(`Refused: ${error.message}`);
        item.row.classList.add("tone-danger");
      }
    }
    busy = false;
    document.getElementById("upload-done").hidden = false;
  }

  function add(file, name) {
    const row = document.getElementById("upload-row").content.firstElementChild.cloneNode(true);
    const bar = row.querySelector("progress");
    row.querySelector("strong").textContent = name;
    bar.setAttribute("aria-label", name);
    list.append(row);
    document.getElementById("no-uploads").hidden = true;
    const say = (words) => { row.querySelector("[role=status]").textContent = words; };
    const show = (offset) => {
      bar.value = file.size ? offset / file.size : 1;
      say(`${megabytes(offset)} of ${megabytes(file.size)}`);
    };
    say("Waiting");
    queue.push({ file, name, row, bar, say, show });
  }

  function take(files) {
    for (const file of files) add(file, file.webkitRelativePath || file.name);
    work();
  }

  for (const id of ["files", "folder"]) {
    document.getElementById(id).addEventListener("change", (event) => {
      take([...event.target.files]);
      event.target.value = "";
    });
  }
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
})();
