//! SoC files: built in by name.

use mcv_ir::soc::{Cluster, Soc};
use mcv_ir::{Error, Result};
use serde::Deserialize;

const FILES: [(&str, &str); 1] = [("host", include_str!("../../../targets/soc/host.yaml"))];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    cpu_family: String,
    clusters: Vec<Line>,
    bandwidth_gbs: f64,
    ram_budget_mib: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    core: String,
    count: u32,
    ghz: f64,
    int8_macs: f64,
    f32_macs: f64,
}

/// The SoC called `name`; an unknown one is refused with the list of those known.
pub fn load(name: &str) -> Result<Soc> {
    let Some((_, text)) = FILES.iter().find(|(n, _)| *n == name) else {
        let known: Vec<&str> = FILES.iter().map(|(n, _)| *n).collect();
        return Err(Error::input(format!("target '{name}' is not known; known targets: {}", known.join(", "))));
    };
    let file: File = serde_yaml::from_str(text).map_err(|e| Error::bug(format!("targets/soc/{name}.yaml: {e}")))?;
    let mut soc = Soc {
        name: file.name,
        title: file.title,
        cpu_family: file.cpu_family,
        clusters: file.clusters.into_iter().map(cluster).collect(),
        bandwidth_gbs: file.bandwidth_gbs,
        ram_budget: file.ram_budget_mib << 20,
    };
    if soc.name == "host" {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        soc.clusters.iter_mut().for_each(|c| c.count = cores);
    }
    Ok(soc)
}

fn cluster(line: Line) -> Cluster {
    let Line { core, count, ghz, int8_macs, f32_macs } = line;
    Cluster { core, count, ghz, int8_macs, f32_macs }
}
