// The list as it lives: what is new, the keyboard, the drawer, actions. Pages can be read without it.
"use strict";
(() => {
  const $ = (query, from = document) => from.querySelector(query);
  const $$ = (query, from = document) => [...from.querySelectorAll(query)];
  const csrf = document.body.dataset.csrf;
  const self = document.currentScript;

  // --- requests carry the token; answers that fail are told -------------------------------------
  document.body.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = csrf;
  });
  document.body.addEventListener("htmx:sendError", () => lost(true));
  document.body.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) lost(false); });
  document.body.addEventListener("htmx:responseError", (event) => {
    const { status, responseText } = event.detail.xhr;
    if (status === 401) { location.href = "/login?next=" + encodeURIComponent(location.pathname + location.search); return; }
    toast(`${status}: ${responseText.slice(0, 200)}`);
  });
  function lost(is) { $("#lost").hidden = !is; }
  let fading;
  function toast(text) {
    const place = $("#toast");
    if (text !== undefined) place.textContent = text;
    clearTimeout(fading);
    fading = setTimeout(() => { place.textContent = ""; }, 6000);
  }

  // --- times stay true ---------------------------------------------------------------------------
  function distance(s) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
      if (s >= size * (size > 60 ? 2 : 1)) return `${Math.floor(s / size)} ${unit}`;
    }
    return "0 s";
  }
  function tick() {
    for (const time of $$("time[datetime]")) {
      const at = Date.parse(time.dateTime);
      if (time.offset === undefined) time.offset = shown(time.textContent, at) ?? 0;
      const s = (Date.now() + time.offset - at) / 1000;
      time.textContent = s >= 0 ? `${distance(s)} ago` : `in ${distance(-s)}`;
    }
  }
  // The server's clock may differ from ours (a demo shows the past): what it wrote is believed.
  function shown(text, at) {
    const found = /^(in )?(\d+) (d|h|min|s)( ago)?$/.exec(text);
    if (!found) return null;
    const s = Number(found[2]) * { d: 86400, h: 3600, min: 60, s: 1 }[found[3]] * (found[1] ? -1 : 1);
    const off = at + s * 1000 - Date.now();
    return Math.abs(off) < 90_000 && Math.abs(s) < 7200 ? 0 : off;
  }
  setInterval(tick, 20_000);

  // --- live --------------------------------------------------------------------------------------
  let source, fresh = new Map(), touched = new Set(), touching;
  const list = () => $("#list");
  function live() {
    source?.close();
    if (!list()) return;
    fresh = new Map();
    const { query, at } = list().dataset;
    source = new EventSource(`/live?${query}${query ? "&" : ""}at=${at}`);
    source.onopen = () => { says("on", "live"); lost(false); };
    source.onerror = () => {
      says("lost", "reconnecting…"); lost(true);
      if (source.readyState === EventSource.CLOSED) setTimeout(again, 2000);
    };
    source.addEventListener("incidents", (event) => {
      list().dataset.at = event.lastEventId;
      const told = JSON.parse(event.data);
      for (const one of told.new) if (!$(`#i-${CSS.escape(one.id)}`)) fresh.set(one.id, one);
      for (const id of told.changed) if ($(`#i-${CSS.escape(id)}`)) touched.add(id);
      const open = $("#drawer")?.dataset.open;
      if (open && told.changed.includes(open)) fill(open);
      if (touched.size && !touching) touching = setTimeout(refresh, 250);
      pill();
    });
    source.addEventListener("reload", () => { fresh.set("many", { severity: "low", title: "more than fit here" }); pill(); });
  }
  // A stream that was refused: signed out, or too many. The page asks, and says so.
  function again() {
    fetch("/health", { headers: { "HX-Request": "true" } }).then((answer) => {
      if (answer.status === 401) location.href = "/login"; else live();
    }, () => setTimeout(again, 2000));
  }
  function says(state, text) { const place = $("#state"); if (place) { place.dataset.live = state; place.textContent = text; } }
  function refresh() {
    touching = undefined;
    const ids = [...touched].slice(0, 100);
    ids.forEach((id) => touched.delete(id));
    htmx.ajax("GET", `/rows/some?ids=${ids.join(",")}`, { target: "#toast", swap: "none" });
    if (touched.size) touching = setTimeout(refresh, 250);
  }
  const ORDER = ["critical", "high", "medium", "low", "informational"];
  function pill() {
    const place = $("#pill");
    if (!place) return;
    place.hidden = !fresh.size;
    document.title = document.title.replace(/^\(\d+\) /, "");
    if (!fresh.size) return;
    const worst = [...fresh.values()].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))[0];
    place.textContent = `${fresh.size} new · ${worst.severity}: ${worst.title}`;
    document.title = `(${fresh.size}) ${document.title}`;
    const first = list().dataset.first && !$$(".row").length;
    if (first) reload();  // nothing to jump: an empty list fills itself
  }
  function reload() {
    const ids = [...fresh.keys()];
    fresh = new Map();
    const query = list().dataset.query;
    return htmx.ajax("GET", `/${query ? "?" + query : ""}`, { target: "#list", swap: "outerHTML" }).then(() => {
      for (const id of ids) $(`#i-${CSS.escape(id)}`)?.classList.add("new");
      scrollTo({ top: 0 });
    });
  }
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "list" || event.detail.target?.id === "list") { live(); mark(); }
    tick(); bulk(); charts();
  });

  // --- rows and keyboard -------------------------------------------------------------------------
  let on = null;  // id of the chosen incident
  const rows = () => $$(".row");
  function choose(row, focus = true) {
    $$(".row.on").forEach((each) => each.classList.remove("on"));
    if (!row) return;
    on = row.dataset.id;
    row.classList.add("on");
    if (focus) $(".story", row).focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    const drawer = $("#drawer");
    if (drawer && !drawer.hidden && drawer.dataset.open !== on && innerWidth > 1000) open(on);
  }
  function mark() { if (on) $(`#i-${CSS.escape(on)}`)?.classList.add("on"); }
  function step(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.dataset.id === on);
    choose(all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]);
  }
  const current = () => $("[data-page-incident]")?.dataset.pageIncident
    ?? $(`.row.on`)?.dataset.id ?? $("#drawer")?.dataset.open ?? null;

  // --- drawer ------------------------------------------------------------------------------------
  function fill(id) { return htmx.ajax("GET", `/incidents/${encodeURIComponent(id)}/drawer`, { target: "#drawer", swap: "innerHTML" }); }
  function open(id) {
    const drawer = $("#drawer");
    drawer.hidden = false;
    drawer.dataset.open = id;
    $("#frame").classList.add("split");
    if (innerWidth <= 1000) document.body.style.overflow = "hidden";
    address((query) => query.set("open", id));
    return fill(id);
  }
  function close() {
    const drawer = $("#drawer");
    if (!drawer || drawer.hidden) return false;
    drawer.hidden = true;
    drawer.textContent = "";
    delete drawer.dataset.open;
    document.body.style.overflow = "";
    $("#frame").classList.remove("split");
    address((query) => query.delete("open"));
    if (on) $(`#i-${CSS.escape(on)} .story`)?.focus({ preventScroll: true });
    return true;
  }
  function address(change) {
    const query = new URLSearchParams(location.search);
    change(query);
    const text = query.toString();
    history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : ""));
  }

  // --- actions -----------------------------------------------------------------------------------
  function act(verb, ids) {
    if (!ids.length) return;
    const dialog = $("#dialog");
    htmx.ajax("GET", `/act/${verb}?ids=${ids.join(",")}`, { target: "#dialog", swap: "innerHTML" }).then(() => {
      if (!dialog.firstElementChild) return;
      htmx.process(dialog);  // before it has settled: Enter may come at once
      if (!dialog.open) dialog.showModal();
      ($("input[name=owner], textarea", dialog) ?? $("button", dialog)).focus();
    });
  }
  document.body.addEventListener("acted", () => {
    $("#dialog").close();
    $$(".pick input:checked").forEach((box) => { box.checked = false; });
    bulk(); toast();
    if ($("[data-page-incident]")) location.reload();
  });
  const picked = () => $$(".pick input:checked").map((box) => box.value);
  function bulk() {
    const place = $("#bulk");
    if (!place) return;
    const count = picked().length;
    place.hidden = !count;
    $("#bulk-count").textContent = count;
  }

  document.addEventListener("click", (event) => {
    const at = (query) => event.target.closest(query);
    let found;
    if (at("#pill")) reload();
    else if ((found = at("[data-act]"))) { event.preventDefault(); act(found.dataset.act, [found.dataset.ids]); }
    else if ((found = at("[data-bulk]"))) act(found.dataset.bulk, picked());
    else if (at("[data-bulk-all]")) { $$(".pick input").forEach((box) => { box.checked = true; }); bulk(); }
    else if (at("[data-bulk-none]")) { $$(".pick input").forEach((box) => { box.checked = false; }); bulk(); }
    else if (at("[data-close]")) close();
    else if (at("[data-dismiss]")) $("#dialog").close();
    else if (at("[data-help]")) $("#help").showModal();
    else if (at("[data-theme-button]")) theme();
    else if ((found = at("[data-copy]"))) copy($(found.dataset.copy));
    else if ((found = at(".chart-pick button"))) pick(found);
    else if ((found = at(".row")) && !at("a, input, label, button")) { choose(found, false); show(found.dataset.id); }
    else if ((found = at(".story")) && !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) {
      event.preventDefault(); choose(found.closest(".row")); show(found.closest(".row").dataset.id);
    }
  });
  function show(id) { if (innerWidth <= 640) location.href = `/incidents/${encodeURIComponent(id)}`; else open(id); }
  document.addEventListener("change", (event) => { if (event.target.closest(".pick")) bulk(); });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.(".row");
    if (row && row.dataset.id !== on) choose(row, false);
  });

  const KEYS = { a: "ack", s: "snooze", r: "resolve", f: "false_positive", e: "expected" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape") {
      if (typing && !$("dialog[open]")) typing.blur();
      else if (!$("dialog[open]") && close()) event.preventDefault();
      return;
    }
    if (typing || $("dialog[open]")) return;
    const id = current();
    const done = () => event.preventDefault();
    if (event.key === "j") { done(); step(1); }
    else if (event.key === "k") { done(); step(-1); }
    else if (event.key === "/") { const q = $("#q"); if (q) { done(); q.focus(); q.select(); } }
    else if (event.key === "?") { done(); $("#help").showModal(); }
    else if (event.key === "n" && fresh.size) { done(); reload(); }
    else if (event.key === "o" && id) { done(); location.href = `/incidents/${encodeURIComponent(id)}`; }
    else if (event.key === "x" && id) {
      const box = $(`#i-${CSS.escape(id)} .pick input`);
      if (box) { done(); box.checked = !box.checked; bulk(); }
    } else if (KEYS[event.key] && $("[data-page-incident], #bulk")) {
      const ids = picked();
      const verb = KEYS[event.key];
      if (ids.length || id) { done(); act(verb, ids.length ? ids : [id]); }
    }
  });

  // --- small things ------------------------------------------------------------------------------
  function theme() {
    const order = { "": "dark", dark: "light", light: "" };
    const next = order[document.documentElement.dataset.theme ?? ""];
    if (next) document.documentElement.dataset.theme = next; else delete document.documentElement.dataset.theme;
    try { next ? localStorage.setItem("theme", next) : localStorage.removeItem("theme"); } catch { /* not kept */ }
    toast(`Colours: ${next || "as the system"}`);
    $$(".plot").forEach((plot) => plot.redraw?.());
  }
  async function copy(from) {
    try { await navigator.clipboard.writeText(from.textContent); toast("Copied."); } catch {
      from.closest("details").open = true;
      getSelection().selectAllChildren(from);
      toast("Selected: press Ctrl+C.");
    }
  }
  function pick(button) {
    const chart = button.closest(".chart");
    $$(".chart-pick button", chart).forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    chart.dataset.feature = button.dataset.feature;
    chart.drawn = false;
    charts();
  }
  let drawing;
  function charts() {
    const waiting = $$(".chart").filter((chart) => !chart.drawn);
    if (!waiting.length) return;
    drawing ??= Promise.all([load(self.dataset.uplot), style(self.dataset.uplotCss)]).then(() => load(self.dataset.chart));
    for (const chart of waiting) { chart.drawn = true; drawing.then(() => window.drawChart(chart)); }
  }
  function load(src) { return new Promise((done) => { const tag = document.createElement("script"); tag.src = src; tag.onload = done; document.head.append(tag); }); }
  function style(href) { return new Promise((done) => { const tag = document.createElement("link"); tag.rel = "stylesheet"; tag.href = href; tag.onload = done; document.head.append(tag); }); }

  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.body.addEventListener("htmx:pushedIntoHistory", () => address((query) => {
    for (const [name, value] of [...query]) if (!value || (name === "view" && value === "open") || (name === "sort" && value === "last")) query.delete(name);
    const open = $("#drawer")?.dataset.open;
    if (open) query.set("open", open);
  }));
  tick(); live(); charts();
  const opened = $("#drawer")?.dataset.open;
  if (opened) { on = opened; mark(); if (innerWidth > 640) open(opened); else location.replace(`/incidents/${encodeURIComponent(opened)}`); }
})();
