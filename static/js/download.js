// Downloads by ranges of 8 MiB: straight to the disk where the browser can, otherwise assembled and then saved.
(() => {
  "use strict";

  const PIECE = 8 * 1024 * 1024;
  const TRIES = 6;

  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  async function piece(url, offset, etag) {
    let trouble;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      if (attempt) await pause(Math.min(10, 0.5 * 2 ** attempt));
      try {
        const answer = await fetch(url, { headers: { Range: `bytes=${offset}-${offset + PIECE - 1}` } });
        if (answer.status === 416 && offset === 0) return { bytes: new Blob(), size: 0, etag: "" }; // an empty file
        if (answer.status !== 206) throw new Error(`the server answered ${answer.status}`);
        const found = answer.headers.get("ETag");
        if (etag && found !== etag) throw new Error("the file changed meanwhile; start again");
        const size = Number(answer.headers.get("Content-Range").split("/")[1]);
        return { bytes: await answer.blob(), size, etag: found };
      } catch (error) {
        trouble = error;
      }
    }
    throw trouble;
  }

  // An open file on the disk, or null when the browser has no such thing. Throws when the person cancels.
  async function onDisk(name) {
    if (!window.showSaveFilePicker) return null;
    const handle = await window.showSaveFilePicker({ suggestedName: name });
    return handle.createWritable();
  }

  function save(parts, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  async function download(root) {
    const button = root.querySelector("button");
    const status = root.querySelector("[role=status]");
    const bar = root.querySelector("progress");
    let file;
    try {
      file = await onDisk(root.dataset.name);
    } catch {
      return; // the person closed the dialog
    }
    button.disabled = true;
    bar.hidden = false;
    try {
      const parts = [];
      let offset = 0;
      let size = 1;
      let etag = "";
      while (offset < size) {
        const next = await piece(root.dataset.download, offset, etag);
        ({ size, etag } = next);
        if (next.bytes.size === 0 && size > 0) throw new Error("the server sent nothing");
        if (file) await file.write(next.bytes);
        else parts.push(next.bytes);
        offset += next.bytes.size;
        bar.value = size ? offset / size : 1;
        status.textContent = `${Math.round(bar.value * 100)} %`;
        if (size === 0) break;
      }
      if (file) await file.close();
      else save(parts, root.dataset.name);
      status.textContent = "Saved";
    } catch (error) {
      if (file) await file.abort();
      status.textContent = `Stopped: ${error.message}. Try again.`;
    } finally {
      button.disabled = false;
      bar.hidden = true;
    }
  }

  document.addEventListener("click", (event) => {
    const root = event.target.closest("button")?.closest("[data-download]");
    if (root) download(root);
  });
})();
