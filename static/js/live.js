// Live news over one WebSocket: reconnects with backoff, says when its news is stale, writes pictures into the page.
// The server sends {type: "hello"}, {type: "heartbeat"}, {type: "job", picture: {...}} and {type: "event", topic: "alert" | "job" | ...}.
(() => {
  "use strict";

  const STALE_AFTER = 12; // [s] the server sends a heartbeat every 10
  const GIVE_UP = [4401, 4404]; // signed out, or not ours: coming back would change nothing
  const body = () => document.body;
  let lastNews = Date.now();
  let attempt = 0;
  let over = false;
  const toldAt = {}; // topic: when it was last told of
  const askedAt = {}; // id of a part of the page: when its newest content was asked for

  function address() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    return scheme + "//" + location.host + body().dataset.liveUrl;
  }

  function connect() {
    const socket = new WebSocket(address());
    socket.addEventListener("message", (event) => {
      news();
      receive(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      if (GIVE_UP.includes(event.code)) {
        over = true;
        return;
      }
      const pause = Math.min(15000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2);
      attempt += 1;
      setTimeout(connect, pause);
    });
  }

  function news() {
    lastNews = Date.now();
    const banner = document.getElementById("stale");
    if (banner) banner.hidden = true;
  }

  function receive(message) {
    if (message.type === "hello") greet();
    if (message.type === "job") show(message.picture);
    if (message.type === "event") refresh([message.topic]);
  }

  // The server listens for us from now on. What happened since the page was made, or while we were away, was not pushed.
  function greet() {
    refresh(attempt > 0 ? ["alert", "job", "location"] : ["hello"]);
    attempt = 0;
  }

  // htmx elements ask for themselves again on these events (hx-trigger="live:alert from:body").
  function refresh(topics) {
    for (const topic of topics) {
      toldAt[topic] = performance.now();
      body().dispatchEvent(new CustomEvent("live:" + topic, { detail: {} }));
    }
  }

  function show(picture) {
    for (const root of document.querySelectorAll(`[data-job="${CSS.escape(picture.id)}"]`)) {
      if (root.dataset.state !== picture.state || (root.dataset.stage || "") !== picture.stage) {
        // Another state or stage has other buttons and words: the server renders them.
        root.dataset.state = picture.state;
        root.dataset.stage = picture.stage;
        refresh(["job"]);
      }
      for (const [name, text] of Object.entries(picture.texts)) {
        write(root.querySelector(`[data-live="${name}"]`), text);
      }
      bar(root.querySelector("[data-live-bar]"), picture.percent, 100);
      for (const place of picture.places) showPlace(root, place);
    }
  }

  function showPlace(root, place) {
    const line = root.querySelector(`[data-place="${CSS.escape(place.key)}"]`);
    if (!line) return;
    write(line.querySelector("[data-live-words]"), place.words);
    bar(line.querySelector("progress"), place.value, place.max);
    line.className = "tone-" + place.tone;
  }

  function write(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  function bar(element, value, max) {
    if (!element) return;
    if (value === null) {
      element.removeAttribute("value");
      return;
    }
    element.max = max;
    element.value = value;
  }

  function ago(seconds) {
    if (seconds < 2) return "just now";
    if (seconds < 60) return `${Math.round(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  }

  function tick() {
    const now = Date.now();
    for (const element of document.querySelectorAll("time[datetime]")) {
      const seconds = (now - Date.parse(element.dateTime)) / 1000;
      if (seconds >= 0) write(element, ago(seconds));
    }
    for (const element of document.querySelectorAll("[data-clock-since]")) {
      const seconds = Math.max(0, (now - Date.parse(element.dataset.clockSince)) / 1000);
      write(element, seconds < 600 ? `${seconds.toFixed(0)} s` : `${Math.floor(seconds / 60)} min`);
    }
    const silent = (now - lastNews) / 1000;
    const banner = document.getElementById("stale");
    if (banner && silent > STALE_AFTER) {
      write(document.getElementById("stale-words"), over
        ? "You are signed out or this is no longer yours. Load the page again."
        : `Last news ${ago(silent)}. Trying to reach the server; what you see may have changed.`);
      banner.hidden = false;
    }
  }

  // A part that is replaced takes its waiting triggers with it. What was told while its content was under way may not
  // be in that content: then the new part is told again.
  document.addEventListener("htmx:beforeRequest", (event) => {
    askedAt[event.detail.target.id] = performance.now();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const part = document.getElementById(event.detail.target.id);
    const listensTo = (part && part.getAttribute("hx-trigger")) || "";
    const missed = Object.keys(toldAt).filter(
      (topic) => listensTo.includes(`live:${topic} `) && toldAt[topic] >= askedAt[part.id],
    );
    for (const topic of missed) body().dispatchEvent(new CustomEvent("live:" + topic, { detail: {} }));
  });

  // A session that has ended answers with the sign-in page: show it as a page, not inside a panel.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const answered = new URL(event.detail.xhr.responseURL || location.href).pathname;
    if (answered.startsWith("/sign-in/")) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    connect();
    setInterval(tick, 1000);
  });
  // A mobile browser freezes hidden tabs: ask for everything when it comes back.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh(["alert", "job", "location"]);
  });
})();
