#include "recommend/page.h"

namespace allreco::recommend {

namespace {

constexpr const char* kPage = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>allreco: recommend</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.45 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.3rem; }
  label { display: block; margin: 0.8rem 0 0.2rem; }
  textarea { width: 100%; box-sizing: border-box; min-height: 9rem; font: inherit; }
  input[type=number] { width: 6rem; font: inherit; }
  button { font: inherit; margin-top: 0.8rem; padding: 0.3rem 1.2rem; }
  table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
  th, td { text-align: left; padding: 0.25rem 0.6rem 0.25rem 0; vertical-align: top; border-bottom: 1px solid #8884; }
  td:nth-child(-n+2) { font-variant-numeric: tabular-nums; white-space: nowrap; }
  #message { margin-top: 1rem; }
  .error { color: #c22; }
</style>
</head>
<body>
<h1>What comes next?</h1>
<form id="form">
  <label for="history">Bought so far, one a line, oldest first: ids, asins or titles</label>
  <textarea id="history" spellcheck="false"></textarea>
  <label for="k">How many items</label>
  <input id="k" type="number" min="1" max="1000" value="10">
  <label><input id="exclude" type="checkbox" checked> without items of the history</label>
  <button>Recommend</button>
</form>
<div id="message" role="status"></div>
<table id="table" hidden>
  <thead><tr><th>rank</th><th>probability</th><th>item</th><th>title</th></tr></thead>
  <tbody id="rows"></tbody>
</table>
<noscript>This page needs JavaScript; POST /recommend does not.</noscript>
<script>
"use strict";
const at = (id) => document.getElementById(id);
function say(text, isError) {
  at("message").textContent = text;
  at("message").className = isError ? "error" : "";
}
function show(recommendations) {
  const rows = recommendations.map((r, i) => {
    const row = document.createElement("tr");
    for (const text of [i + 1, (100 * r.probability).toFixed(2) + " %", r.asin || r.id, r.title]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  });
  at("rows").replaceChildren(...rows);
  at("table").hidden = rows.length === 0;
}
at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const history = at("history").value.split("\n").map((line) => line.trim()).filter((line) => line);
  const begin = performance.now();
  say("…", false);
  try {
    const reply = await fetch("recommend", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({history, k: Number(at("k").value), exclude_history: at("exclude").checked}),
    });
    const answer = await reply.json();
    show(answer.recommendations || []);
    if (answer.error) say(answer.error, true);
    else say("in " + Math.round(performance.now() - begin) + " ms", false);
  } catch (error) {
    show([]);
    say(String(error), true);
  }
});
</script>
</body>
</html>
)html";

}  // namespace

std::string try_it_page() { return kPage; }

}  // namespace allreco::recommend
