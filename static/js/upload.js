// The page of uploads: what was chosen, one after the other, with pause, removal and a total. A broken line or a reload costs
// one piece at most; upload-send.js says how.
(() => {
  "use strict";

  const { send, Refused, Changed, Stopped } = window.uploadSend;
  const find = (id) => document.getElementById(id);
  const zone = find("dropzone");
  const PAUSE_MAX = 15; // [s]
  const page = {
    url: zone.dataset.url,
    pieceBytes: Number(zone.dataset.pieceBytes),
    token: JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"],
  };
  const items = [];
  let paused = false;
  let busy = false;
  let wake = () => {};
  let began = null; // {at [ms], bytes}: of the present run without a pause, for what is left

  const size = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
  const sum = (of) => items.reduce((total, item) => total + of(item), 0);

  // Waits so many seconds, counting down; the line's return, "Try again" and "Remove" end it.
  async function wait(item, words, seconds) {
    const until = Date.now() + seconds * 1000;
    while (!paused && !item.stop.signal.aborted && Date.now() < until) {
      item.say(`${words}; trying again in ${Math.ceil((until - Date.now()) / 1000)} s`);
      const ended = await new Promise((resolve) => {
        wake = () => resolve(true);
        setTimeout(() => resolve(false), 1000);
      });
      if (ended) return;
    }
  }

  async function deliver(item) {
    item.state = "sending";
    while (item.state === "sending") {
      item.stop = new AbortController();
      try {
        const { name, already } = await send(item, page);
        item.arrive(name, already);
      } catch (error) {
        if (item.state === "removed") return;
        if (error instanceof Stopped) {
          item.state = "waiting";
          item.say("Paused");
        } else if (error instanceof Refused || error instanceof Changed) {
          item.fail(error.message);
        } else {
          item.failures += 1;
          item.again(true);
          await wait(item, error instanceof TypeError ? "The line broke" : error.message, Math.min(PAUSE_MAX, 2 ** item.failures));
          item.again(false);
          if (item.state === "sending" && paused) { item.state = "waiting"; item.say("Paused"); }
        }
      }
    }
  }

  async function work() {
    if (busy) return;
    busy = true;
    began = { at: Date.now(), bytes: sum((item) => item.done) };
    for (let item; !paused && (item = items.find((each) => each.state === "waiting")); ) {
      await deliver(item);
      total();
    }
    busy = false;
    if (!paused) find("upload-done").hidden = !items.some((item) => item.state === "arrived");
  }

  function total() {
    const open = items.filter((item) => item.state !== "removed");
    const arrived = open.filter((item) => item.state === "arrived");
    const failed = open.filter((item) => item.state === "failed").length;
    const bytes = open.reduce((all, item) => all + item.file.size, 0);
    const done = open.reduce((all, item) => all + item.done, 0);
    let words = `${arrived.length} of ${open.length} files arrived, ${size(done)} of ${size(bytes)}`;
    if (failed) words += `, ${failed} not`;
    const rate = began && (done - began.bytes) / (Date.now() - began.at);
    if (!paused && busy && Date.now() - began.at > 5000 && rate > 0 && bytes > done) {
      const minutes = Math.ceil((bytes - done) / rate / 60000);
      words += `, about ${minutes} min left`;
    }
    find("upload-total").hidden = !open.length;
    find("upload-total").querySelector("[role=status]").textContent = paused ? `${words}. Paused` : words;
    find("pause").hidden = !open.some((item) => ["waiting", "sending"].includes(item.state));
    find("no-uploads").hidden = Boolean(open.length);
  }

  function add(file, name) {
    const row = find("upload-row").content.firstElementChild.cloneNode(true);
    const bar = row.querySelector("progress");
    const button = (does) => row.querySelector(`[data-do=${does}]`);
    row.querySelector("strong").textContent = name;
    bar.setAttribute("aria-label", name);
    const item = { file, name, state: "waiting", done: 0, failures: 0, stop: new AbortController(), claim: null };
    item.say = (words) => { row.querySelector("[role=status]").textContent = words; };
    item.comparing = (share) => { bar.value = share; item.say("Comparing with what is here"); };
    item.show = (bytes) => {
      item.done = bytes;
      bar.value = file.size ? bytes / file.size : 1;
      item.say(`${size(bytes)} of ${size(file.size)}`);
      total();
    };
    item.again = (shown) => { button("again").hidden = !shown; };
    item.arrive = (stored, already) => {
      item.state = "arrived";
      item.show(file.size);
      button("remove").hidden = true;
      const as = stored === name.normalize("NFC") ? "" : ` as ${stored}`;
      item.say(already ? `Already here${as}` : `Arrived${as}, not backed up yet`);
      document.body.dispatchEvent(new Event("arrived"));
    };
    item.fail = (words) => {
      item.state = "failed";
      item.say(`Not taken: ${words}`);
      row.classList.add("tone-danger");
      item.again(true);
    };
    button("again").addEventListener("click", () => {
      if (item.state === "failed") {
        Object.assign(item, { state: "waiting", claim: null, done: 0 });
        row.classList.remove("tone-danger");
        item.again(false);
        item.say("Waiting");
      }
      wake();
      work();
    });
    button("remove").addEventListener("click", () => {
      item.state = "removed";
      item.stop.abort();
      wake();
      row.remove();
      total();
    });
    item.say("Waiting");
    find("uploads").append(row);
    items.push(item);
  }

  function take({ files, litter, unread }) {
    for (const { file, name } of files) add(file, name);
    const words = [];
    if (litter) words.push(`${litter} file${litter > 1 ? "s" : ""} of the operating system left out (such as .DS_Store).`);
    if (unread.length) words.push(`Could not be read and will not arrive: ${unread.join(", ")}.`);
    find("left-out").hidden = !words.length;
    find("left-out").textContent = words.join(" ");
    total();
    work();
  }

  for (const id of ["files", "folder"]) {
    find(id).addEventListener("change", (event) => {
      take(window.uploadDrop.chosen([...event.target.files]));
      event.target.value = "";
    });
  }
  find("pause").addEventListener("click", () => {
    paused = !paused;
    find("pause").textContent = paused ? "Go on" : "Pause";
    find("pause").setAttribute("aria-pressed", String(paused));
    if (paused) items.filter((item) => item.state === "sending").forEach((item) => item.stop.abort());
    wake();
    total();
    work();
  });
  addEventListener("online", () => wake());
  addEventListener("beforeunload", (event) => {
    if (items.some((item) => ["waiting", "sending"].includes(item.state))) event.preventDefault();
  });
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(await window.uploadDrop.dropped(event.dataTransfer));
  });
})();
