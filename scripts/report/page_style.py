"""page_style: how report.html looks, on a screen, in the dark, in print."""

STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --dim: #595959; --back: #ffffff; --line: #d0d0d0; --soft: #f3f4f6;
  --link: #0058a3; --note: #fff6e0; --edge: #e69f00; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e4e4; --dim: #a8a8a8; --back: #16181b; --line: #3c4046;
  --soft: #1f2226; --link: #7cc0f5; --note: #2b2617; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 74rem; background: var(--back); color: var(--text);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
p, li { max-width: 46rem; }
a { color: var(--link); }
.dim, figcaption, .caption { color: var(--dim); }
.caption { font-size: .9rem; margin: 1.2rem 0 .4rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; max-width: none; }
.verdict { border: 1px solid var(--line); border-left: 4px solid var(--link); background: var(--soft); padding: .3rem 1.1rem;
  margin: 1rem 0; }
.verdict p { font-size: 1.05rem; max-width: 60rem; margin: .5rem 0; }
.notes { background: var(--note); border-left: 4px solid var(--edge); padding: .4rem 1rem .4rem 2.2rem; }
.scroll { overflow-x: auto; margin: 0 0 1.2rem; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .5rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: nowrap; }
th { font-weight: 600; }
thead th { white-space: normal; border-bottom: 2px solid var(--line); vertical-align: bottom; }
th.text, td.text { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
td.ours { background: var(--soft); font-weight: 600; }
tbody tr.first td, tbody tr.first th { border-top: 2px solid var(--line); }
sub { line-height: 0; }
figure { margin: 1.4rem 0 2rem; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line);
  border-radius: 4px; padding: .5rem; }
figcaption { font-size: .9rem; margin-top: .5rem; }
figcaption strong { color: var(--text); }
.absent { border: 1px dashed var(--line); padding: .6rem 1rem; }
details { margin: .6rem 0 1rem; }
summary { cursor: pointer; color: var(--link); }
@media print {
  :root { --text: #000; --dim: #333; --back: #fff; --line: #999; --soft: #f2f2f2; --link: #000; --note: #fff; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav, summary { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: .12rem .35rem; white-space: normal; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
