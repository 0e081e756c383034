// SPDX-License-Identifier: GPL-2.0-only

/** Style of the page: the reader's fonts, light or dark as the reader has it, nothing from outside. */
export const pageStyle = `
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--paper:#fefefe;--band:#f6f8fa;--line:#d0d7de;--link:#0757a8;--add:#dafbe1;--del:#ffebe9}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--paper:#0d1117;--band:#161b22;--line:#3d444d;--link:#6cb6ff;--add:#12331f;--del:#3f1d1f}}
*{box-sizing:border-box}
html{scroll-padding-top:.5rem}
body{margin:0;color:var(--ink);background:var(--paper);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:84rem;margin:0 auto;padding:0 1.25rem 4rem}
nav{max-width:84rem;margin:0 auto;padding:.75rem 1.25rem 0;font-size:.9rem}
nav ul{margin:.25rem 0;padding-left:1.1rem;list-style:none}
nav>details>ul{columns:18rem auto;column-gap:2rem;padding-left:0}
nav>details>ul>li{break-inside:avoid;margin-bottom:.35rem}
a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:2px}
h1{font-size:1.7rem;line-height:1.2;margin:1.25rem 0 .75rem}
h2{font-size:1.35rem;margin:2.75rem 0 .75rem;padding-top:.75rem;border-top:2px solid var(--line)}
h3{font-size:1.12rem;margin:2.25rem 0 .5rem}
h4{font-size:1rem;margin:1.25rem 0 .4rem}
p,ul{margin:.5rem 0;max-width:62rem}
li{overflow-wrap:anywhere}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.scroll{overflow:auto;max-height:85vh;margin:.5rem 0;max-width:100%}
table{border-collapse:separate;border-spacing:0;font-size:.87rem;font-variant-numeric:tabular-nums;border-top:1px solid var(--line);border-left:1px solid var(--line)}
th,td{padding:.25rem .6rem;text-align:left;vertical-align:top;border-right:1px solid var(--line);border-bottom:1px solid var(--line)}
th{position:sticky;top:0;background:var(--band);font-weight:600;z-index:1}
th em{font-weight:400}
td{max-width:34rem;min-width:3rem}
td code,th code{overflow-wrap:normal}
.n,.f0 :is(td,th),.f1 :is(td,th):nth-child(n+2),.f2 :is(td,th):nth-child(n+3){text-align:right}
.n,.s{white-space:nowrap}
tbody tr:nth-child(even){background:var(--band)}
details{margin:.6rem 0}
main>details{border-left:3px solid var(--line);padding-left:.75rem}
summary{cursor:pointer;font-weight:600}
figure{display:inline-block;vertical-align:top;margin:1rem 1rem 1rem 0;max-width:100%}
figure .scroll{max-height:none}
.diff{display:block;margin:.9rem 0;max-width:62rem;border:1px solid var(--line);border-radius:6px;overflow:hidden}
.diff figcaption{padding:.4rem .75rem;background:var(--band);border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.diff pre{margin:0;padding:.4rem 0;line-height:1.4;font-size:.87rem}
.diff pre code{display:block;min-width:max-content;overflow-wrap:normal}
.diff span{display:block;min-height:1.4em;padding:0 .75rem;white-space:pre}
.diff i{color:var(--soft);font-style:normal}
.a{background:var(--add)}
.d{background:var(--del)}
.g{color:var(--soft)}
figure svg{display:block;max-width:max(100%,34rem);height:auto}
figcaption{color:var(--soft);font-size:.87rem}
@media (max-width:40rem){body{font-size:14px}main,nav{padding-left:.75rem;padding-right:.75rem}td{max-width:20rem}nav>details>ul{max-height:14rem;overflow:auto}}
@media print{nav{display:none}details::details-content{content-visibility:visible;block-size:auto}.scroll{overflow:visible;max-height:none}body{font-size:10px}h2{break-before:page}h3,h4{break-after:avoid}tr,figure{break-inside:avoid}th{position:static}a{color:inherit}}
`.replaceAll('\n', '');
