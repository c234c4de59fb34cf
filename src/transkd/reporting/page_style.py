"""The style sheet of a report's page: readable on light and dark screens, and at a phone's width."""

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2330; --muted: #5d6675; --line: #e3e6eb; --soft: #f5f6f8;
  --gain: #1767a5; --loss: #b4450f; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181e; --ink: #e8ebf0; --muted: #a2aab8; --line: #2f353f;
  --soft: #1d2129; --gain: #6cb4f0; --loss: #f19a68; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.25rem 0 .5rem; font-weight: 600; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; color: var(--muted); overflow-wrap: anywhere; }
pre, code { font: .85em/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; }
code { overflow-wrap: anywhere; }
td code { white-space: nowrap; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--muted); font-weight: 500; vertical-align: bottom; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
th.number { max-width: 9rem; }
td.reading { white-space: nowrap; }
td:first-child { font-weight: 600; min-width: 8.5rem; }
th { overflow-wrap: break-word; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); max-width: min(22rem, 45vw);
  overflow-wrap: anywhere; }
tr.gain td.reading { color: var(--gain); font-weight: 600; }
tr.loss td.reading { color: var(--loss); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: .5rem 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
dl.commands { grid-template-columns: 1fr; gap: 0; }
dl.commands dd { margin-bottom: .6rem; }
figure { margin: 0; overflow-x: auto; }
figure img { display: block; width: 100%; height: auto; border-radius: 4px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.5rem; }
.plots img { min-width: 20rem; }
.plots figcaption { font-weight: 600; margin-bottom: .4rem; }
.scene { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); gap: .6rem; }
.scene figcaption { font-size: .85rem; color: var(--muted); overflow-wrap: anywhere; }
.scene img { image-rendering: auto; }
.legend img { width: auto; max-width: none; background: #ffffff; border-radius: 4px; margin-top: .4rem; }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; font-size: 15px; } dl { grid-template-columns: 1fr; }
  dt { margin-top: .4rem; } .scene { grid-template-columns: 1fr 1fr; } }
"""
