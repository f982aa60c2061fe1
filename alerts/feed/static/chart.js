// Draws usage an hour, the band of what is usual, and the moments something was found.
"use strict";
window.drawChart = async (chart) => {
  const place = chart.querySelector(".plot");
  const address = new URL(chart.dataset.chart, location.origin);
  address.searchParams.set("feature", chart.dataset.feature);
  const note = (text) => {
    const told = document.createElement("p");
    told.className = "note";
    told.textContent = text;
    place.replaceChildren(told);
  };
  let told;
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(String(answer.status));
    told = await answer.json();
  } catch { note("The chart cannot be loaded now."); return; }
  if (!told.columns) { note("No usage of this time is kept."); return; }
  const { time, seen, low, high } = told.columns;
  const top = Math.max(1e-9, ...high.filter((v) => v !== null));
  const most = Math.max(1e-9, ...seen.filter((v) => v !== null));
  const steep = most > 30 * top;  // a break that would flatten the habit to a line
  const short = (v) => v === null ? "" : v >= 1e9 ? `${v / 1e9} G` : v >= 1e6 ? `${v / 1e6} M` : v >= 1e3 ? `${v / 1e3} k` : String(+v.toPrecision(3));
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    place.replaceChildren();
    const stepped = uPlot.paths.stepped({ align: 1 });
    const marks = (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = colour("--bad");
      ctx.lineWidth = 2;
      ctx.setLineDash([5, 4]);
      for (const mark of told.marks) {
        const x = Math.round(plot.valToPos(mark.time, "x", true));
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    };
    const ceiling = Math.max(most, top) * 1.06;
    const decades = [0];
    for (let step = 10 ** Math.ceil(Math.log10(top / 3)); step < ceiling; step *= 10) decades.push(step);
    const day = "\n{D} {MMM}";
    const dates = [
      [86400, "{D} {MMM}", null, null, null, null, null, null, 1],
      [3600, "{HH}:{mm}", null, null, day, null, null, null, 1],
      [60, "{HH}:{mm}", null, null, day, null, null, null, 1],
    ];
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    new uPlot({
      width: place.clientWidth,
      height: place.classList.contains("tall") ? 300 : 220,
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "UTC"),
      cursor: { y: false },
      legend: { show: false },
      scales: { x: { time: true }, y: steep ? { distr: 4, asinh: top / 4, range: [0, ceiling] } : { range: (u, a, b) => [0, b * 1.06 || 1] } },
      axes: [
        { ...axis, values: dates },
        { ...axis, size: 62, values: (u, values) => values.map(short), ...(steep ? { splits: () => decades, filter: (u, splits) => splits } : {}) },
      ],
      series: [
        {},
        { label: "usual, low", paths: stepped, stroke: colour("--band"), width: 1, points: { show: false }, spanGaps: true },
        { label: "usual, high", paths: stepped, stroke: colour("--band"), width: 1, points: { show: false }, spanGaps: true },
        { label: "seen", paths: uPlot.paths.bars({ size: [0.9, 24, 2], align: 1 }), stroke: colour("--seen"), fill: colour("--seen"), width: 0, points: { show: false } },
      ],
      bands: [{ series: [2, 1], fill: colour("--band") + "66" }],
      hooks: { draw: [marks] },
    }, [time, low, high, seen], place);
  };
  draw();
  place.redraw = draw;
  if (place.watched) return;
  place.watched = true;
  let waiting;
  const resized = () => {
    if (place.clientWidth && place.querySelector(".uplot")?.clientWidth !== place.clientWidth) place.redraw();
  };
  new ResizeObserver(() => { clearTimeout(waiting); waiting = setTimeout(resized, 150); }).observe(place);
};
