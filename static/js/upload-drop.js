// What was dropped or chosen, as files with their path below it. Folders are walked to the end: a browser lists a hundred
// entries at a time. What an operating system leaves beside pictures is left out, and told once.
window.uploadDrop = (() => {
  "use strict";

  const LITTER = /^(\.DS_Store|\.localized|\.Spotlight-.*|\.Trashes|\.fseventsd|\._.*|Thumbs\.db|ehthumbs\.db|desktop\.ini)$/i;

  async function entriesOf(folder) {
    const reader = folder.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return found;
      found.push(...some);
    }
  }

  async function walk(entry, path, found) {
    try {
      if (entry.isDirectory) {
        for (const below of await entriesOf(entry)) await walk(below, `${path}${entry.name}/`, found);
      } else {
        found.files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), name: path + entry.name });
      }
    } catch {
      found.unread.push(path + entry.name);
    }
  }

  function sorted(files, unread) {
    const litter = files.filter(({ name }) => name.split("/").some((part) => LITTER.test(part)));
    return { files: files.filter((each) => !litter.includes(each)), litter: litter.length, unread };
  }

  // {files: [{file, name}], litter: how many were left out, unread: names that could not be read}
  async function dropped(transfer) {
    const found = { files: [], unread: [] };
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    const plain = [...transfer.files]; // both are gone after the first pause
    if (!entries.some(Boolean)) return chosen(plain);
    for (const entry of entries) if (entry) await walk(entry, "", found);
    return sorted(found.files, found.unread);
  }

  const chosen = (files) => sorted(files.map((file) => ({ file, name: file.webkitRelativePath || file.name })), []);

  return { dropped, chosen };
})();
