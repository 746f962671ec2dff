//! What the session relies on: phases, ports and states by name, and that their sizes fit the limits.

use mcv_artifact::manifest::{ImagePolicy, Limits, Manifest, Phase, Positions};

/// No model of the family comes near.
const MOST: u32 = 1 << 24;

type Result = std::result::Result<(), String>;

/// Checks limits, the ports of the three phases, and the rows of the states.
pub(super) fn check(manifest: &Manifest) -> Result {
    let limits = manifest.limits.unwrap_or_default();
    let image = manifest.image.clone().unwrap_or_default();
    let numbers = [
        ("context", limits.context),
        ("prefill_chunk", limits.prefill_chunk),
        ("vocab", limits.vocab),
        ("queries", image.queries),
    ];
    for (name, value) in numbers {
        if !(1..=MOST).contains(&value) {
            return Err(format!("{name} is {value}"));
        }
    }
    let phase = |name: &str| manifest.phases.iter().find(|p| p.name == name);
    let canvas = manifest.canvas.is_some();
    if canvas && image.unit <= 1 {
        return Err(format!("canvases need slices of whole vectors, the unit is {}", image.unit));
    }
    let language = |name: &str, rows| match phase(name) {
        Some(phase) => check_language(phase, rows, canvas, &limits).map_err(|e| format!("phase {name}: {e}")),
        None => Err(format!("there is no phase {name}")),
    };
    language("prefill", limits.prefill_chunk)?;
    language("decode", 1)?;
    if let Some(vision) = phase("vision") {
        check_vision(vision, &image, &limits).map_err(|e| format!("phase vision: {e}"))?;
    }
    check_states(manifest, &image, &limits)
}

fn check_language(phase: &Phase, rows: u32, canvas: bool, limits: &Limits) -> Result {
    needs(phase, "token_ids", 1, rows)?;
    needs(phase, "positions", 1, rows)?;
    if canvas {
        needs(phase, "canvas", 3, rows)?;
    }
    let filled = ["token_ids", "positions", "image_rows", if canvas { "canvas" } else { "positions" }];
    if let Some(odd) = phase.inputs.iter().find(|p| !filled.contains(&p.name.as_str())) {
        return Err(format!("unknown input {}", odd.name));
    }
    if phase.inputs.iter().any(|p| p.name == "image_rows") {
        needs(phase, "image_rows", 1, rows)?;
    }
    needs(phase, "logits", limits.vocab, 1)?;
    knows(phase, &["tokens", "pos", "context"])
}

fn check_vision(phase: &Phase, image: &ImagePolicy, limits: &Limits) -> Result {
    if limits.slices == 0 || limits.patches == 0 {
        return Err("limits allow no slices or no patches".into());
    }
    let width = image.patch.checked_pow(2).and_then(|area| area.checked_mul(3));
    needs(phase, "patches", width.ok_or("the patch is too large")?, limits.patches)?;
    if image.unit <= 1 {
        needs(phase, "grid_rows", 1, limits.patches)?;
        needs(phase, "grid_cols", 1, limits.patches)?;
    } else if limits.patches / image.unit.saturating_mul(image.unit) > image.queries {
        return Err(format!("{} patches give more than {} vectors", limits.patches, image.queries));
    }
    // The square of the side numbers the table's rows.
    if !(1..=4096).contains(&image.position_side) {
        return Err(format!("position_side is {}", image.position_side));
    }
    let positions = match Positions::try_from(image.positions) {
        Ok(Positions::Bucketed | Positions::Nearest) => ("position_ids", 1),
        Ok(Positions::Resampled) => ("position_weights", image.position_side.pow(2)),
        Ok(Positions::Unsaid) | Err(_) => return Err(format!("unknown positions {}", image.positions)),
    };
    needs(phase, positions.0, positions.1, limits.patches)?;
    let filled = ["patches", "grid_rows", "grid_cols", positions.0];
    if let Some(odd) = phase.inputs.iter().find(|p| !filled.contains(&p.name.as_str())) {
        return Err(format!("unknown input {}", odd.name));
    }
    knows(phase, &["patches", "patches_4", "patches_4_4", "slot"])
}

/// The phase has the port, `width` wide, for at least `rows` rows.
fn needs(phase: &Phase, name: &str, width: u32, rows: u32) -> Result {
    match phase.inputs.iter().chain(&phase.outputs).find(|p| p.name == name) {
        Some(port) if port.width == width && port.max_rows >= rows => Ok(()),
        Some(port) => Err(format!("{name} is {} x {}, needed is {rows} x {width}", port.max_rows, port.width)),
        None => Err(format!("there is no {name}")),
    }
}

/// The phase has no variables but those the session gives.
fn knows(phase: &Phase, known: &[&str]) -> Result {
    match phase.variables.iter().find(|v| !known.contains(&v.as_str())) {
        Some(variable) => Err(format!("unknown variable {variable}")),
        None => Ok(()),
    }
}

/// Picture vectors have a row each, memories of linear attention any number, all other states one per cached token.
fn check_states(manifest: &Manifest, image: &ImagePolicy, limits: &Limits) -> Result {
    for state in &manifest.states {
        let rows = match state.name.as_str() {
            "image_tokens" => limits.slices.checked_mul(image.queries).ok_or("too many picture vectors")?,
            name if name.starts_with("delta.") => 1,
            _ => limits.context,
        };
        if state.rows < rows || state.stride % 4 != 0 && state.name == "image_tokens" {
            return Err(format!(
                "state {}: {} rows of {} bytes, needed are {rows}",
                state.name, state.rows, state.stride
            ));
        }
    }
    Ok(())
}
