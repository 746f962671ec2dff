//! A page that shows a tuning: the search, the winners, the bars. One file, no scripts, nothing fetched.

use crate::fleet::Outcome;
use crate::setting::Core;
use crate::space;
use crate::together::Together;
use std::fmt::Write;

/// Width and height of a chart in pixels.
const CHART: (f64, f64) = (640.0, 180.0);
/// Height of a bar in pixels.
const BAR: f64 = 22.0;
/// Width that bars share, and where they begin.
const BARS: (f64, f64) = (280.0, 380.0);

/// One step of the waterfall.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What is on.
    pub name: String,
    /// Seconds of opening the model.
    pub opening: Option<f64>,
    /// Seconds from opening until picture, prefill and decode have run once.
    pub first: Option<f64>,
    /// Seconds of a picture.
    pub vision: Option<f64>,
    /// Seconds of a prefill.
    pub prefill: Option<f64>,
    /// Tokens per second of a decode.
    pub decode_per_second: Option<f64>,
    /// Largest resident memory of the process in MiB.
    pub peak_mib: Option<f64>,
}

/// One of a bar's figures.
type Figure = fn(&Bar) -> Option<f64>;

/// All steps, and those that could not be measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waterfall {
    /// In the order of the paper's figure.
    pub bars: Vec<Bar>,
    /// What is missing and why.
    pub left_out: Vec<String>,
}

/// The page.
pub fn page(outcomes: &[Outcome], together: &[Together], waterfall: &Waterfall) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tuning</title><style>body{font:15px/1.5 \
         system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}table{border-collapse:collapse}\
         td,th{padding:.3em .8em;text-align:left;border-bottom:1px solid #ddd}svg{display:block;margin:.5em 0}\
         .core{display:inline-block;min-width:1.6em;margin:1px;padding:0 .3em;text-align:center;background:#eee}\
         .on{background:#2b6cb0;color:#fff}.no{text-decoration:line-through;color:#aaa}</style><h1>Tuning</h1>",
    );
    winners(&mut page, outcomes);
    whole(&mut page, together);
    bars(&mut page, waterfall);
    page.push_str("<h2>Search</h2><p>Fastest run so far, after each run; the dashed line is the default.</p>");
    for outcome in outcomes {
        curve(&mut page, outcome);
    }
    page.push_str("</html>\n");
    page
}

fn winners(page: &mut String, outcomes: &[Outcome]) {
    page.push_str(
        "<h2>Winners</h2><table><tr><th>device<th>phase<th>cores, fastest first<th>setting<th>seconds<th>default\
         <th>speed, with its 95 % interval<th>runs of candidates",
    );
    for o in outcomes {
        let r = &o.record;
        let mut cores = String::new();
        for core in &o.hello.cores {
            core_cell(&mut cores, core, &r.setting.cores);
        }
        let sure = if r.settled { "" } else { " (not settled)" };
        let hot = if r.hot { " (hot)" } else { "" };
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{cores}<td>{}<td>{:.4}{hot}<td>{:.4}<td>{}{sure}<td>{} of {}",
            escaped(&o.device),
            escaped(&r.phase),
            escaped(&r.setting.to_string()),
            r.seconds,
            r.default_seconds,
            speed(o),
            r.runs,
            o.candidates
        );
    }
    page.push_str("</table>");
}

/// What pairs of runs say of the winner.
fn speed(o: &Outcome) -> String {
    match &o.record.gain {
        Some(gain) => gain.to_string(),
        None if o.record.setting == space::default(&o.hello, &o.record.phase) => {
            "no gain measurable: nothing beat the default".into()
        }
        None => format!("{:.2}x in the search, not confirmed", o.record.default_seconds / o.record.seconds),
    }
}

fn whole(page: &mut String, together: &[Together]) {
    if together.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Kernels and threads together</h2><p>Fresh pairs of runs against the defaults, which no search has seen.\
         <table><tr><th>device<th>tuned kernels<th>phase<th>speed, with its 95 % interval",
    );
    for t in together {
        let all = [("all phases".to_owned(), t.all.clone())];
        for (phase, gain) in t.phases.iter().chain(&all) {
            let (device, kernels) = (escaped(&t.device), t.kernels);
            let _ = write!(page, "<tr><td>{device}<td>{kernels}<td>{}<td>{}", escaped(phase), gain);
        }
    }
    page.push_str("</table>");
}

fn core_cell(cells: &mut String, core: &Core, used: &[usize]) {
    let class = match (core.allowed, used.contains(&core.id)) {
        (false, _) => "core no",
        (true, true) => "core on",
        (true, false) => "core",
    };
    let _ = write!(cells, "<span class=\"{class}\" title=\"speed {:.2}\">{}</span>", core.speed, core.id);
}

fn bars(page: &mut String, waterfall: &Waterfall) {
    page.push_str("<h2>What each optimization brings</h2>");
    let kinds: [(&str, Figure); 6] = [
        ("Opening, seconds", |b| b.opening),
        ("Opening and the first run of each phase, seconds", |b| b.first),
        ("Picture, seconds", |b| b.vision),
        ("Prefill, seconds", |b| b.prefill),
        ("Decode, tokens per second", |b| b.decode_per_second),
        ("Peak resident memory, MiB", |b| b.peak_mib),
    ];
    for (title, value) in kinds {
        let values: Vec<(&str, f64)> =
            waterfall.bars.iter().filter_map(|b| value(b).map(|v| (b.name.as_str(), v))).collect();
        let most = values.iter().map(|(_, v)| *v).fold(f64::MIN_POSITIVE, f64::max);
        if values.is_empty() {
            continue;
        }
        let height = BAR * values.len() as f64;
        let _ = write!(page, "<h3>{title}</h3><svg width=\"{}\" height=\"{height}\">", CHART.0 + 100.0);
        for (row, (name, v)) in values.iter().enumerate() {
            let (top, width) = (row as f64 * BAR, v / most * BARS.0);
            let (text, after) = (top + 15.0, BARS.1 + width + 6.0);
            let _ = write!(
                page,
                "<text x=\"0\" y=\"{text}\">{}</text><rect x=\"{}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" \
                 fill=\"#2b6cb0\"/><text x=\"{after:.1}\" y=\"{text}\">{v:.3}</text>",
                escaped(name),
                BARS.1,
                top + 2.0,
                BAR - 4.0
            );
        }
        page.push_str("</svg>");
    }
    page.push_str(
        "<p>Each bar is a run with what its line names switched on, on the device at hand. Left out:</p><ul>",
    );
    for why in &waterfall.left_out {
        let _ = write!(page, "<li>{}", escaped(why));
    }
    page.push_str("</ul>");
}

fn curve(page: &mut String, outcome: &Outcome) {
    let curve: Vec<f64> = outcome.found.curve.iter().copied().filter(|s| s.is_finite()).collect();
    let default = outcome.record.default_seconds;
    let most = curve.iter().copied().chain([default]).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
    let point = |(i, s): (usize, &f64)| {
        let x = i as f64 / (curve.len().max(2) - 1) as f64 * CHART.0;
        format!("{x:.1},{:.1}", CHART.1 * (1.0 - s / most))
    };
    let points: Vec<String> = curve.iter().enumerate().map(point).collect();
    let line = CHART.1 * (1.0 - default / most);
    let _ = write!(
        page,
        "<h3>{} {}</h3><svg width=\"{}\" height=\"{}\" style=\"background:#f7f7f7\"><polyline fill=\"none\" \
         stroke=\"#2b6cb0\" stroke-width=\"2\" points=\"{}\"/><line x1=\"0\" x2=\"{}\" y1=\"{line:.1}\" \
         y2=\"{line:.1}\" stroke=\"#999\" stroke-dasharray=\"4\"/></svg><p>{} runs; {:.4} s, default {default:.4} s.</p>",
        escaped(&outcome.device),
        escaped(&outcome.record.phase),
        CHART.0,
        CHART.1,
        points.join(" "),
        CHART.0,
        outcome.record.runs,
        outcome.record.seconds
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
