// Keeps the status page up to date: asks every second for the parts that are news. What comes is
// HTML that the server has escaped; the page works without this file, by reading it again.
"use strict";
(() => {
  const EVERY = 1000, PATIENCE = 8000, TYPING = 150;
  const live = document.getElementById("live");
  const table = document.getElementById("apps");
  const filter = document.getElementById("filter");
  let ahead = 0; // seconds by which the server's clock is ahead of ours
  let timer = 0, asking = null, lostAt = 0;

  document.documentElement.classList.add("js");

  function address() {
    const query = new URLSearchParams(location.search);
    const parts = document.querySelectorAll("[data-part]");
    query.set("known", Array.from(parts, (part) => part.dataset.digest).join("."));
    return `/live?${query}`;
  }

  async function ask() {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = asking = new AbortController();
    const tooLate = setTimeout(() => mine.abort(), PATIENCE);
    try {
      const answer = await fetch(address(), { signal: mine.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const news = await answer.json();
      if (mine !== asking) return;
      ahead = news.now - Date.now() / 1000;
      apply(news);
      lostAt = 0;
    } catch (error) {
      if (mine !== asking) return;
      lostAt = lostAt || Date.now();
    } finally {
      clearTimeout(tooLate);
    }
    tell();
    timer = setTimeout(ask, document.hidden ? 20 * EVERY : EVERY);
  }

  function apply(news) {
    const wanted = new Set(news.order.map(([id]) => id));
    let before = table.querySelector("thead");
    for (const [id, digest] of news.order) {
      let part = document.getElementById(id);
      if (!part) {
        part = document.createElement("tbody");
        part.id = id;
        part.dataset.part = "";
      }
      if (part.dataset.digest !== digest && digest in news.parts) replace(part, digest, news.parts[digest]);
      if (part.tagName === "TBODY") {
        if (before.nextElementSibling !== part) before.after(part);
        before = part;
      }
    }
    for (const row of table.querySelectorAll(":scope > tbody")) if (!wanted.has(row.id)) row.remove();
    ages();
  }

  function replace(part, digest, html) {
    const held = part.contains(document.activeElement) ? document.activeElement.dataset.focus : "";
    part.innerHTML = html;
    part.dataset.digest = digest;
    if (held) part.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  }

  function ages() {
    const now = Date.now() / 1000 + ahead;
    for (const time of document.querySelectorAll("time[data-at]")) {
      const said = age(Math.max(0, now - Number(time.dataset.at)));
      if (time.textContent !== said) time.textContent = said;
      time.title = time.dateTime;
    }
  }

  function age(seconds) {
    if (seconds < 100) return `${Math.floor(seconds)} s ago`;
    if (seconds < 6000) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  }

  function tell() {
    const said = lostAt
      ? `The sidecar has not answered for ${age((Date.now() - lostAt) / 1000).replace(" ago", "")}; this is what was last known.`
      : "Live.";
    if (live.textContent !== said) live.textContent = said;
    live.classList.toggle("lost", Boolean(lostAt));
  }

  function go(url) {
    history.replaceState(null, "", url);
    ask();
  }

  function filtered() {
    const query = new URLSearchParams(location.search);
    for (const [name, text] of new FormData(filter)) {
      if (text && text !== "all") query.set(name, text); else query.delete(name);
    }
    query.delete("page");
    go(query.size ? `/?${query}` : "/");
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-ask]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const url = new URL(link.href);
    filter.elements.q.value = url.searchParams.get("q") || "";
    filter.elements.show.value = url.searchParams.get("show") || "all";
    go(url.pathname + url.search);
  });
  filter.addEventListener("submit", (event) => { event.preventDefault(); filtered(); });
  filter.addEventListener("change", filtered);
  let typing = 0;
  filter.elements.q.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filtered, TYPING);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  setInterval(ages, EVERY);
  ages();
  ask();
})();
