//! `data/custody/custody.html`: the custody record for a person to read, in any browser, on paper,
//! or by ear. No script, nothing from elsewhere. Pure.

use std::fmt::{self, Write as _};

use custody::WallTime;

use super::Order;
use super::facts::Facts;
use super::history::Act;
use super::local::{self, Local};

/// The page.
pub(super) fn html(
    order: &Order<'_>,
    facts: &[Facts<'_>],
    acts: &[Act],
    unsigned_views: &[String],
) -> String {
    let mut out = String::new();
    let _written = Page { order, local: Local::new() }.write(&mut out, facts, acts, unsigned_views);
    out
}

struct Page<'a> {
    order: &'a Order<'a>,
    local: Local,
}

impl Page<'_> {
    fn write(
        &self,
        out: &mut String,
        facts: &[Facts<'_>],
        acts: &[Act],
        unsigned_views: &[String],
    ) -> fmt::Result {
        let order = self.order;
        let exhibit = escaped(order.exhibit);
        write!(out, "{HEAD}<title>Custody record of exhibit {exhibit}</title>\n{STYLE}")?;
        writeln!(out, "<body>\n<main>\n<h1>Custody record of exhibit {exhibit}</h1>")?;
        out.push_str(WARNING);
        writeln!(out, "<h2>The exhibit</h2>\n<dl>")?;
        let cameras: Vec<_> = facts.iter().map(|facts| facts.camera.to_string()).collect();
        for (term, text) in [
            ("Exhibit reference", exhibit.clone()),
            ("Case", escaped(order.case.as_str())),
            ("Footage asked for", self.span(order.span.from, order.span.to)),
            ("Cameras", escaped(&cameras.join(", "))),
            ("Made", self.time(order.now)),
            ("Signed with key", escaped(&order.authority.public().id().0)),
        ] {
            writeln!(out, "<dt>{term}</dt><dd>{text}</dd>")?;
        }
        writeln!(out, "</dl>")?;
        self.footage(out, facts)?;
        self.acts(out, acts)?;
        copies(out, unsigned_views)?;
        out.push_str(FOOT);
        Ok(())
    }

    fn footage(&self, out: &mut String, facts: &[Facts<'_>]) -> fmt::Result {
        writeln!(
            out,
            "<h2>The footage</h2>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" \
             aria-label=\"Footage of each camera\"><table>\n\
             <caption>How much of the asked time is footage, and why the rest is not</caption>\n\
             <thead><tr><th scope=\"col\">Camera</th><th scope=\"col\">Footage</th>\
             <th scope=\"col\">Missing</th><th scope=\"col\">Pictures and masks</th></tr></thead>\n\
             <tbody>"
        )?;
        for facts in facts {
            let coverage = facts.coverage(self.order.span);
            let per_cent = coverage.per_cent();
            let explained = coverage.explained.iter().map(|(gap, why)| {
                format!(
                    "<li>{}: signed reason <b>{}</b></li>",
                    self.span(gap.from, gap.to),
                    why.as_str()
                )
            });
            let bare = coverage.unexplained.iter().map(|hole| {
                format!("<li>{}: <b>no record says why</b></li>", self.span(hole.from, hole.to))
            });
            let missing: String = explained.chain(bare).collect();
            let missing = if missing.is_empty() {
                "nothing".to_owned()
            } else {
                format!("<ul>{missing}</ul>")
            };
            let texts = facts.streams().into_iter().chain(facts.masks());
            let texts: String = texts.map(|text| format!("<li>{}</li>", escaped(&text))).collect();
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{per_cent:.2} %</td><td>{missing}</td>\
                 <td><ul>{texts}</ul></td></tr>",
                escaped(&facts.camera.to_string())
            )?;
        }
        writeln!(out, "</tbody></table></div>")
    }

    fn acts(&self, out: &mut String, acts: &[Act]) -> fmt::Result {
        writeln!(
            out,
            "<h2>Who handled it</h2>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" \
             aria-label=\"Every act of the case\"><table>\n\
             <caption>Every act of the case, from the audit log</caption>\n\
             <thead><tr><th scope=\"col\">Entry</th><th scope=\"col\">When</th>\
             <th scope=\"col\">Who</th><th scope=\"col\">What</th><th scope=\"col\">Why</th></tr>\
             </thead>\n<tbody>"
        )?;
        for act in acts {
            let purpose = act.purpose.as_deref().map(|purpose| format!("{purpose}: "));
            let why = format!("{}{}", purpose.unwrap_or_default(), act.reason);
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                act.position,
                self.time(act.at),
                escaped(&act.actor),
                escaped(&act.words),
                escaped(why.trim_end_matches(": "))
            )?;
        }
        writeln!(out, "</tbody></table></div>")
    }

    fn span(&self, from: WallTime, to: WallTime) -> String {
        format!("{} to {}", self.time(from), self.time(to))
    }

    fn time(&self, wall: WallTime) -> String {
        format!(
            "<time datetime=\"{wall}\">{} <small>({})</small></time>",
            local::utc(wall),
            self.local.text(wall)
        )
    }
}

fn copies(out: &mut String, unsigned_views: &[String]) -> fmt::Result {
    out.push_str(COPIES);
    for why in unsigned_views {
        writeln!(out, "<p><strong>{}</strong></p>", escaped(why))?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en-GB\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
";

const STYLE: &str = "<style>
:root { color-scheme: light dark; --line: #767676; --soft: #f3f3f1; --ink: #1b1b1b; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --line: #8c8c8c; --soft: #262626; --ink: #ededed; --page: #161616; }
}
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.wide:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { border: 1px solid var(--line); padding: .4rem .6rem; text-align: left; vertical-align: top; }
thead th { background: var(--soft); }
td ul { margin: 0; padding-left: 1.1rem; }
.note { border-left: .3rem solid var(--line); background: var(--soft); padding: .6rem 1rem; }
small { font-size: .875em; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .6rem; } }
@media print { main { max-width: none; padding: 0; } .wide { overflow: visible; } }
</style>
</head>
";

const WARNING: &str = "<p class=\"note\">This page is for reading. It is named in the signed \
manifest of the exhibit, but it proves nothing by itself: check the exhibit first, as \
<code>VERIFY.txt</code> or <code>VERIFY.html</code> in its outermost folder say. The lines below are \
in <code>data/custody/audit.jsonl</code> as they stand in the controller's log.</p>
";

const COPIES: &str = "<h2>Master, playable copy, working copy</h2>
<dl>
<dt>Master</dt><dd><code>data/master</code>: the footage as the recorder stored it. This is the \
evidence; it is never changed.</dd>
<dt>Playable copy</dt><dd><code>data/view</code>: the same coded pictures in one MP4 file per \
camera, not encoded anew, with date and time as a subtitle.</dd>
<dt>Working copy</dt><dd>Whatever is made from either: a cut, a still, a brightened version. Keep it \
outside this folder, and say in its name which exhibit it comes from.</dd>
</dl>
";

const FOOT: &str = "</main>\n</body>\n</html>\n";
