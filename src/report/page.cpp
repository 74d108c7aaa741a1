#include "report/page.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

// Colours of runs: Okabe and Ito's palette, which people with any kind of colour blindness tell apart, darkened on
// white and lightened on black until lines stand out. Runs differ in the shape of their points, too.
constexpr char kStyle[] = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1d2126; --soft: #5c6670; --rule: #dfe3e7; --grid: #e9ecef; --raised: #f6f7f8;
  --warn: #8a4b00; --warn-back: #fff6e5; --link: #0b61a4;
  --c0: #0072b2; --c1: #d55e00; --c2: #00805c; --c3: #b04a8a; --c4: #7a6a00; --c5: #3d3db8; --c6: #1591c4; --c7: #5d5d5d;
  --plain: #7b858f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --ink: #e4e7ea; --soft: #9aa5b0; --rule: #31373d; --grid: #272c31; --raised: #1c2024;
    --warn: #f0bb6b; --warn-back: #2b2418; --link: #79b8ee;
    --c0: #56b4e9; --c1: #f08a45; --c2: #2cc59a; --c3: #e08fc0; --c4: #e0cc4a; --c5: #a3a3ff; --c6: #8ad6f5; --c7: #b9b9b9;
    --plain: #8a959f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { font-size: 28px; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; margin: 0 0 14px; }
h2 { font-size: 20px; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em; margin: 0 0 14px; }
h3 { font-size: 15px; font-weight: 650; margin: 26px 0 8px; }
p { margin: 8px 0; max-width: 78ch; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 10px 0; border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); font-size: 14px; }
section { padding: 34px 0 4px; scroll-margin-top: 4px; }
section + section { border-top: 1px solid var(--rule); margin-top: 30px; }
code, pre { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
pre { margin: 8px 0 14px; padding: 12px 14px; background: var(--raised); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 30em; overflow-y: auto; }
.note { color: var(--soft); font-size: 13px; }
.missing { color: var(--soft); border-left: 3px solid var(--rule); padding: 4px 0 4px 12px; }
.missing code { color: var(--ink); }
.warning, .warnings li { color: var(--warn); }
.warnings { background: var(--warn-back); border-radius: 6px; margin: 12px 0; padding: 10px 14px 10px 32px; font-size: 14px; }
.runs { list-style: none; margin: 0; padding: 0; }
.runs li { display: flex; gap: 12px; padding: 7px 0; max-width: 92ch; }
.swatch { flex: none; margin: 6px 0 0; vertical-align: -1px; }
h3 .swatch { margin: 0 7px 0 0; }
.scroll { overflow-x: auto; margin: 14px 0; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.4; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 650; padding: 0 0 6px; white-space: nowrap; }
th { font-weight: 500; color: var(--soft); font-size: 12.5px; border-bottom: 1px solid var(--rule); vertical-align: bottom; }
th, td { padding: 5px 18px 5px 0; text-align: left; vertical-align: top; }
td { border-bottom: 1px solid var(--grid); }
td.n, th.n { text-align: right; white-space: nowrap; }
td.t { white-space: nowrap; }
td.w { min-width: 17em; max-width: 40em; overflow-wrap: anywhere; }
tr.mark td { font-weight: 600; }
tr.mark td:last-child { font-weight: 400; }
td svg.cell { display: block; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 26px 32px; margin: 16px 0 22px; }
figure { margin: 0; min-width: 0; max-width: 560px; }
figure.wide { max-width: none; }
figcaption { font-size: 14px; line-height: 1.4; margin-bottom: 2px; }
figcaption b { font-weight: 650; }
figcaption .note { display: block; }
figure > svg { display: block; width: 100%; height: auto; overflow: visible; }
.legend { display: flex; flex-wrap: wrap; gap: 0 16px; font-size: 13px; color: var(--soft); margin: 4px 0 6px; }
.key { display: inline-flex; align-items: center; gap: 6px; overflow-wrap: anywhere; }
.key svg { flex: none; }
.box { width: 11px; height: 11px; border-radius: 2px; flex: none; }
.bar { display: grid; grid-template-columns: minmax(5em, 9em) 1fr; gap: 12px; align-items: center; font-size: 13px; margin: 8px 0; }
.bar span { overflow-wrap: anywhere; line-height: 1.25; }
.bar div { display: flex; height: 18px; border-radius: 3px; overflow: hidden; background: var(--grid); }
.bar i { display: block; height: 100%; }
.p0 { background: var(--c0); } .p1 { background: var(--c1); } .p2 { background: var(--c4); } .p3 { background: var(--plain); }
.grid, .axis, .diagonal, .reference { fill: none; stroke: var(--grid); stroke-width: 1; shape-rendering: crispEdges; }
.axis { stroke: var(--plain); }
.diagonal { stroke: var(--plain); stroke-dasharray: 5 4; shape-rendering: auto; }
.reference { stroke: var(--plain); }
.tick, .label { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.line { fill: none; stroke-width: 1.9; stroke-linejoin: round; stroke-linecap: round; }
.line.dashed { stroke-dasharray: 5 4; }
.whisker { stroke-width: 1.5; opacity: 0.6; }
.mark { stroke: var(--page); stroke-width: 1; }
.line.s0, .whisker.s0 { stroke: var(--c0); } .mark.s0 { fill: var(--c0); }
.line.s1, .whisker.s1 { stroke: var(--c1); } .mark.s1 { fill: var(--c1); }
.line.s2, .whisker.s2 { stroke: var(--c2); } .mark.s2 { fill: var(--c2); }
.line.s3, .whisker.s3 { stroke: var(--c3); } .mark.s3 { fill: var(--c3); }
.line.s4, .whisker.s4 { stroke: var(--c4); } .mark.s4 { fill: var(--c4); }
.line.s5, .whisker.s5 { stroke: var(--c5); } .mark.s5 { fill: var(--c5); }
.line.s6, .whisker.s6 { stroke: var(--c6); } .mark.s6 { fill: var(--c6); }
.line.s7, .whisker.s7 { stroke: var(--c7); } .mark.s7 { fill: var(--c7); }
.line.plain, .whisker.plain { stroke: var(--plain); } .mark.plain { fill: var(--plain); }
details { margin: 8px 0; }
summary { cursor: pointer; }
details > summary { color: var(--link); font-size: 14px; }
.mistakes { font-size: 13.5px; }
.mistakes > .legend, .mistake > summary { display: grid; grid-template-columns: 74px 1fr 1fr; gap: 14px; color: var(--ink); font-size: 13.5px; }
.mistakes > .legend { color: var(--soft); font-size: 12.5px; margin: 0; max-width: none; padding-bottom: 5px; border-bottom: 1px solid var(--rule); }
.mistakes > .more { margin: 8px 0; }
.mistake { margin: 0; border-bottom: 1px solid var(--grid); }
.mistake > summary { list-style: none; padding: 6px 0; line-height: 1.4; }
.mistake > summary::-webkit-details-marker { display: none; }
.mistake > summary:hover { background: var(--raised); }
.mistake .sure { font-variant-numeric: tabular-nums; white-space: nowrap; }
.mistake .sure::before { content: "\25B8\00A0"; color: var(--soft); }
.mistake[open] .sure::before { content: "\25BE\00A0"; }
.mistake span { overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; padding-top: 26px; padding-bottom: 48px; margin-top: 40px; }
footer hr { border: 0; border-top: 1px solid var(--rule); margin: 0 0 18px; }
@media (max-width: 600px) {
  main, header, footer { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 24px; }
  h1 { font-size: 23px; }
  .tick, .label { font-size: 14px; }
  td.w { min-width: 26em; }
  .mistakes > .legend, .mistake > summary { grid-template-columns: 74px 1fr; gap: 2px 10px; }
  .mistakes > .legend .right, .mistake > summary .right { grid-column: 2; }
  .mistake > summary .right { color: var(--soft); }
  .bar { grid-template-columns: 1fr; gap: 3px; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --ink: #000; --soft: #444; --rule: #bbb; --grid: #ddd; --raised: #f4f4f4; --warn: #000; --warn-back: #fff;
    --c0: #0072b2; --c1: #d55e00; --c2: #00805c; --c3: #b04a8a; --c4: #7a6a00; --c5: #3d3db8; --c6: #1591c4; --c7: #5d5d5d; --plain: #7b858f; }
  body { font-size: 11px; }
  main, header, footer { max-width: none; padding: 0; }
  nav { display: none; }
  section { padding-top: 14px; } section + section { margin-top: 14px; }
  .scroll { overflow: visible; }
  table { font-size: 9px; } th { font-size: 8.5px; } th, td { padding: 2px 8px 2px 0; }
  td.n, th.n, caption { white-space: normal; }
  figure, tr, .bar, h2, h3 { break-inside: avoid; } h2, h3, caption { break-after: avoid; }
  pre { max-height: none; overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .bar div, .p0, .p1, .p2, .p3, .box, svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

Html navigation(const std::vector<Section>& sections) {
  Html links;
  for (const Section& section : sections) links += html("<a href=\"#{}\">{}</a>\n", section.id, section.title);
  return html("<nav aria-label=\"Sections\">\n{}</nav>\n", links);
}

Html footer(const PageText& text) {
  Html files;
  for (const std::string& file : text.files) files += html("{}<code>{}</code>", files.empty() ? "" : ", ", file);
  return html(
      "<footer><hr/>Made by allreco {}, <code>allreco report</code>. The tables lie beside this page as {}.</footer>\n",
      text.program_version, files);
}

}  // namespace

std::string page_of(const PageText& text, const std::vector<Section>& sections) {
  Html body;
  for (const Section& section : sections)
    body += html("<section id=\"{}\" aria-labelledby=\"{}-title\">\n<h2 id=\"{}-title\">{}</h2>\n{}</section>\n",
                 section.id, section.id, section.id, section.title, section.body);
  return html(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
             "img-src data:\"/>\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
             "<meta name=\"referrer\" content=\"no-referrer\"/>\n"
             "<link rel=\"icon\" href=\"data:,\"/>\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n"
             "<header><h1>{}</h1>\n{}</header>\n<main>\n{}</main>\n{}</body>\n</html>\n",
             text.title, Html::own(kStyle), text.title, navigation(sections), body, footer(text))
      .code();
}

}  // namespace allreco::report
