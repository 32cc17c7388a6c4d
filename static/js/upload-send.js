// Sends one file in pieces. Each piece goes with its SHA-256; the file goes on only where all that is there is its own, and
// "arrived" is said when the server has found the digest of the whole to be the browser's.
window.uploadSend = (() => {
  "use strict";

  const { digest, whole } = window.uploadDigest;

  class Refused extends Error {}
  class Changed extends Error {}
  class Stopped extends Error {} // paused or removed
  class Elsewhere extends Error {} // the server stands at another place than we thought

  async function piece(item, number, size) {
    let buffer;
    try {
      buffer = await item.file.slice(number * size, (number + 1) * size).arrayBuffer();
    } catch {
      throw new Changed("It changed or went away while it was sent. Choose it again.");
    }
    item.digests[number] = await digest(buffer);
    return buffer;
  }

  async function ownDigest(item, number, size) {
    if (!item.digests[number]) await piece(item, number, size);
    return item.digests[number];
  }

  async function ask(item, page, method, words, body) {
    const query = new URLSearchParams({ ...item.claim, ...words });
    const headers = method === "POST" ? { "X-CSRFToken": page.token, "Content-Type": "application/octet-stream" } : {};
    let response;
    try {
      response = await fetch(`${page.url}?${query}`, { method, body, headers, signal: item.stop.signal });
    } catch (error) {
      if (item.stop.signal.aborted) throw new Stopped();
      throw error;
    }
    if (response.ok) return response.json();
    if (response.status === 409) throw new Elsewhere();
    if (response.status === 400) throw new Refused((await response.json()).error);
    if (response.status === 403 || response.status === 404) throw new Refused("You are signed out or this is not yours. Load the page again.");
    if (response.status === 422) throw new Error("A piece was damaged on its way");
    throw new Error(`The server answered ${response.status}`);
  }

  // What is here under this claim: how many pieces, or where the same bytes are already.
  async function standing(item, page) {
    const { digests, alike } = await ask(item, page, "GET", {});
    if (alike.length) {
      for (let number = 0; number < item.pieces; number += 1) {
        item.comparing(number / item.pieces);
        await ownDigest(item, number, page.pieceBytes);
      }
      const own = await whole(item.digests);
      const same = alike.find((file) => file.digest === own);
      if (same) return { name: same.name, already: true };
    }
    for (let number = 0; number < digests.length; number += 1) {
      if ((await ownDigest(item, number, page.pieceBytes)) !== digests[number]) {
        item.claim.branch = item.digests[number]; // the part is of another file: begin one of our own
        return standing(item, page);
      }
    }
    return { sent: digests.length };
  }

  // Sends what is missing and returns {name, already}. Throws Refused, Changed, Stopped, or what broke the line.
  async function send(item, page) {
    if (!item.claim) {
      item.pieces = Math.ceil(item.file.size / page.pieceBytes);
      item.digests = [];
      const first = item.pieces ? await ownDigest(item, 0, page.pieceBytes) : await digest(new ArrayBuffer(0));
      item.claim = { name: item.name, size: item.file.size, modified: Math.floor(item.file.lastModified), first, branch: "" };
    }
    for (;;) {
      try {
        const found = await standing(item, page);
        if (found.name !== undefined) return found;
        if (found.sent >= item.pieces) return await finish(item, page, {}, null);
        for (let number = found.sent; number < item.pieces; number += 1) {
          const offset = number * page.pieceBytes;
          item.show(offset);
          const body = await piece(item, number, page.pieceBytes);
          const words = { offset, digest: item.digests[number] };
          if (number === item.pieces - 1) return await finish(item, page, words, body);
          await ask(item, page, "POST", words, body);
          item.failures = 0;
        }
      } catch (error) {
        if (!(error instanceof Elsewhere)) throw error;
      }
    }
  }

  async function finish(item, page, words, body) {
    return ask(item, page, "POST", { ...words, whole: await whole(item.digests) }, body);
  }

  return { send, Refused, Changed, Stopped };
})();
