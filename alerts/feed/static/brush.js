// The histogram over the list: a time is chosen by dragging, or by arrow keys with Shift and Enter.
"use strict";
(() => {
  const bars = (brush) => [...brush.querySelectorAll("g")];
  let from = null, to = null, dragging = false;

  function say(brush, text) { brush.closest(".histogram").querySelector("output").textContent = text; }
  function words(g) {
    const told = ["critical", "high", "medium", "low", "informational"].filter((s) => g.dataset[s]).map((s) => `${g.dataset[s]} ${s}`);
    return told.length ? told.join(", ") : "none";
  }
  const short = (text) => text.slice(5).replace("T", " ");
  function show(brush) {
    const all = bars(brush);
    const rect = brush.querySelector(".chosen");
    if (from === null) { rect.setAttribute("width", 0); return; }
    const [a, b] = from < to ? [from, to] : [to, from];
    rect.setAttribute("x", a);
    rect.setAttribute("width", b - a + 1);
    const chosen = all.slice(a, b + 1);
    const count = chosen.reduce((sum, g) => sum + Number(g.dataset.total), 0);
    const told = a === b ? words(chosen[0]) : `${count} incidents`;
    say(brush, `${short(chosen[0].dataset.start)} to ${short(chosen.at(-1).dataset.end)}: ${told}`);
  }
  function at(brush, event) {
    const box = brush.getBoundingClientRect();
    const count = bars(brush).length;
    return Math.max(0, Math.min(count - 1, Math.floor((event.clientX - box.left) / box.width * count)));
  }
  function choose(brush) {
    const [a, b] = from < to ? [from, to] : [to, from];
    const all = bars(brush);
    const form = document.getElementById("filter");
    form.elements.start.value = all[a].dataset.start;
    form.elements.until.value = all[b].dataset.end;
    form.elements.since.value = "";
    form.querySelector(".further").open = true;
    from = to = null;
    form.requestSubmit();
  }

  document.addEventListener("pointerdown", (event) => {
    const brush = event.target.closest?.(".brush");
    if (!brush || event.button) return;
    dragging = true;
    from = to = at(brush, event);
    brush.setPointerCapture(event.pointerId);
    show(brush);
  });
  document.addEventListener("pointermove", (event) => {
    const brush = event.target.closest?.(".brush");
    if (!brush) return;
    to = at(brush, event);
    if (!dragging) from = to;
    show(brush);
  });
  document.addEventListener("pointerup", (event) => {
    const brush = event.target.closest?.(".brush");
    if (!dragging) return;
    dragging = false;
    if (brush) choose(brush);
  });
  document.addEventListener("pointercancel", () => { dragging = false; });
  document.addEventListener("keydown", (event) => {
    const brush = event.target.closest?.(".brush");
    if (!brush || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = bars(brush).length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last }[event.key];
    if (step) {
      to = Math.max(0, Math.min(last, (to ?? last + 1) + step));
      if (!event.shiftKey || from === null) from = to;
      show(brush);
    } else if (event.key === "Enter" && from !== null) choose(brush);
    else if (event.key === "Escape" && from !== null) { from = to = null; show(brush); say(brush, "Nothing chosen"); event.stopPropagation(); }
    else return;
    event.preventDefault();
  }, true);
})();
