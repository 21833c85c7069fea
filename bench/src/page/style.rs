//! How the page looks, by day and by night.

pub(super) const SHEET: &str = "
:root { color-scheme: light dark; --back: #fff; --panel: #f5f7f9; --text: #16202a; --faint: #5b6875; --grid: #dfe5ea; --warn: #8a4b00; --warn-back: #fff3e0;
  --c0: #0b6bcb; --c1: #d9480f; --c2: #7048a8; --c3: #0a7d5a; --c4: #b0285f; --c5: #6b6b00; }
@media (prefers-color-scheme: dark) {
  :root { --back: #11161b; --panel: #1a2128; --text: #e8edf2; --faint: #9aa7b4; --grid: #2b353f; --warn: #ffc078; --warn-back: #33240f;
    --c0: #5aa9f5; --c1: #ff8f5e; --c2: #b197e8; --c3: #4fcf9f; --c4: #f083ac; --c5: #cfcf5a; } }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1380px; margin: 0 auto; padding: 24px 20px 40px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 16px; margin: 28px 0 8px; }
.sub { color: var(--faint); margin: 4px 0 14px; }
.verdict { font-size: 20px; font-weight: 600; line-height: 1.35; margin: 0 0 18px; max-width: 80ch; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; }
.tile { background: var(--panel); border-radius: 8px; padding: 12px 18px; flex: 1 1 150px; }
.tile b { display: block; font-size: 32px; line-height: 1.2; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile small { font-size: 15px; font-weight: 500; color: var(--faint); margin-left: 5px; }
.tile span { color: var(--faint); }
.warnings { background: var(--warn-back); color: var(--warn); border-radius: 8px; margin: 14px 0 0; padding: 10px 18px 10px 34px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 14px; margin-top: 18px; }
figure { margin: 0; background: var(--panel); border-radius: 8px; padding: 12px 14px 6px; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; fill: var(--faint); }
svg .grid { stroke: var(--grid); } svg text.x { text-anchor: middle; } svg text.y { text-anchor: end; }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .legend { font-weight: 600; }
svg line.mark { stroke: var(--faint); stroke-dasharray: 4 3; } svg text.mark { font-weight: 600; }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); } polyline.c2 { stroke: var(--c2); }
polyline.c3 { stroke: var(--c3); } polyline.c4 { stroke: var(--c4); } polyline.c5 { stroke: var(--c5); }
text.c0, circle.c0 { fill: var(--c0); } text.c1, circle.c1 { fill: var(--c1); } text.c2, circle.c2 { fill: var(--c2); }
text.c3, circle.c3 { fill: var(--c3); } text.c4, circle.c4 { fill: var(--c4); } text.c5, circle.c5 { fill: var(--c5); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: 4px 12px 4px 0; text-align: right; white-space: nowrap; }
th { color: var(--faint); font-weight: 500; } tr + tr td, .pairs tr + tr th { border-top: 1px solid var(--grid); }
td:first-child, th:first-child, .pairs td { text-align: left; } .pairs td { white-space: normal; }
.wide { overflow-x: auto; } .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 40px; }
.note { color: var(--faint); max-width: 90ch; }
";
