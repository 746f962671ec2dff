//! SoC files: built in by name, or a user's own.

use mcv_ir::soc::{Cache, Cluster, Gpu, Npu, Soc};
use mcv_ir::{Error, Result};
use serde::Deserialize;
use std::path::Path;

const FILES: [(&str, &str); 6] = [
    ("host", include_str!("../../../targets/soc/host.yaml")),
    ("snapdragon8g3", include_str!("../../../targets/soc/snapdragon8g3.yaml")),
    ("snapdragon8elite", include_str!("../../../targets/soc/snapdragon8elite.yaml")),
    ("dimensity9300", include_str!("../../../targets/soc/dimensity9300.yaml")),
    ("apple-m1", include_str!("../../../targets/soc/apple-m1.yaml")),
    ("generic-arm64", include_str!("../../../targets/soc/generic-arm64.yaml")),
];

const FAMILIES: [&str; 2] = ["x86-64", "aarch64"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    #[serde(default)]
    reports: Vec<String>,
    cpu_family: String,
    #[serde(default)]
    levels: Vec<String>,
    clusters: Vec<ClusterLine>,
    #[serde(default)]
    caches: Vec<CacheLine>,
    bandwidth_gbs: f64,
    bandwidth_one_core_gbs: f64,
    ram_budget_mib: u64,
    gpu: Option<GpuLines>,
    npu: Option<NpuLines>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterLine {
    core: String,
    count: u32,
    ghz: f64,
    int8_macs: f64,
    int8_macs_i8mm: Option<f64>,
    f32_macs: f64,
    #[serde(default)]
    level: String,
    #[serde(default)]
    little: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CacheLine {
    name: String,
    kib: u32,
    shared_by: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuLines {
    name: String,
    f16_gmacs: f64,
    f32_gmacs: f64,
    int8_gmacs: f64,
    bandwidth_gbs: f64,
    launch_us: f64,
    call_us: f64,
    max_alloc_mib: u64,
    image_side: u32,
    image_buffer: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NpuLines {
    name: String,
    int8_gmacs: f64,
    float_gmacs: f64,
    bandwidth_gbs: f64,
    call_us: f64,
    address_limit_mib: u64,
    vtcm_kib: u64,
}

/// Names of the built-in SoC files.
pub fn known() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The SoC called `name`, or the one in the YAML file of that path (ends in `.yaml`).
///
/// # Errors
/// An unknown name, with the list of those known; a file with a missing, unknown or impossible field, by its name.
pub fn load(name: &str) -> Result<Soc> {
    let mut soc = match FILES.iter().find(|(n, _)| *n == name) {
        Some((_, text)) => parse(text, &format!("targets/soc/{name}.yaml"))?,
        None => from_path(name)?,
    };
    if soc.name == "host" {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        soc.clusters.iter_mut().for_each(|c| c.count = cores);
        soc.reports.push(mcv_tune::machine::cpu_name());
    }
    Ok(soc)
}

fn from_path(name: &str) -> Result<Soc> {
    let known: Vec<&str> = known().collect();
    let known = format!("known targets: {}", known.join(", "));
    if !name.ends_with(".yaml") && !name.ends_with(".yml") {
        return Err(Error::input(format!("target '{name}' is not known; {known}; or give a YAML file of your own")));
    }
    let text = std::fs::read_to_string(Path::new(name))
        .map_err(|e| Error::input(format!("target {name}: no readable file ({e}); {known}")))?;
    parse(&text, name)
}

fn parse(text: &str, path: &str) -> Result<Soc> {
    let fail = |why: String| Error::input(format!("{path}: {why}"));
    let file: File = serde_yaml::from_str(text).map_err(|e| fail(e.to_string()))?;
    let soc = file.into_soc();
    check(&soc).map_err(fail)?;
    Ok(soc)
}

impl File {
    fn into_soc(self) -> Soc {
        Soc {
            name: self.name,
            title: self.title,
            reports: self.reports,
            cpu_family: self.cpu_family,
            levels: self.levels,
            clusters: self.clusters.into_iter().map(ClusterLine::into_cluster).collect(),
            caches: self.caches.into_iter().map(CacheLine::into_cache).collect(),
            bandwidth_gbs: self.bandwidth_gbs,
            bandwidth_one_core_gbs: self.bandwidth_one_core_gbs,
            ram_budget: mib(self.ram_budget_mib),
            gpu: self.gpu.map(GpuLines::into_gpu),
            npu: self.npu.map(NpuLines::into_npu),
        }
    }
}

fn mib(n: u64) -> u64 {
    n.saturating_mul(1 << 20)
}

impl ClusterLine {
    fn into_cluster(self) -> Cluster {
        let ClusterLine { core, count, ghz, int8_macs, int8_macs_i8mm, f32_macs, level, little } = self;
        Cluster { core, count, ghz, int8_macs, int8_macs_i8mm, f32_macs, level, little }
    }
}

impl CacheLine {
    fn into_cache(self) -> Cache {
        Cache { name: self.name, kib: self.kib, shared_by: self.shared_by }
    }
}

impl GpuLines {
    fn into_gpu(self) -> Gpu {
        Gpu {
            name: self.name,
            f16_gmacs: self.f16_gmacs,
            f32_gmacs: self.f32_gmacs,
            int8_gmacs: self.int8_gmacs,
            bandwidth_gbs: self.bandwidth_gbs,
            launch_us: self.launch_us,
            call_us: self.call_us,
            max_alloc: mib(self.max_alloc_mib),
            image_side: self.image_side,
            image_buffer: self.image_buffer,
        }
    }
}

impl NpuLines {
    fn into_npu(self) -> Npu {
        Npu {
            name: self.name,
            int8_gmacs: self.int8_gmacs,
            float_gmacs: self.float_gmacs,
            bandwidth_gbs: self.bandwidth_gbs,
            call_us: self.call_us,
            address_limit: mib(self.address_limit_mib),
            vtcm: self.vtcm_kib.saturating_mul(1 << 10),
        }
    }
}

/// Figures the cost model divides by are positive; levels and family are among those that can be.
fn check(soc: &Soc) -> std::result::Result<(), String> {
    if !FAMILIES.contains(&soc.cpu_family.as_str()) {
        return Err(format!("cpu_family '{}' is not known; one of {}", soc.cpu_family, FAMILIES.join(", ")));
    }
    for cluster in &soc.clusters {
        let core = &cluster.core;
        if !cluster.level.is_empty() && !soc.levels.contains(&cluster.level) {
            return Err(format!("cluster {core}: level '{}' is not among levels", cluster.level));
        }
        positive(&format!("cluster {core}"), &[("count", f64::from(cluster.count)), ("ghz", cluster.ghz)])?;
        let macs =
            [("int8_macs", cluster.int8_macs), ("int8_macs_i8mm", cluster.int8()), ("f32_macs", cluster.f32_macs)];
        positive(&format!("cluster {core}"), &macs)?;
    }
    if soc.big().next().is_none() {
        return Err("clusters: at least one must not be little".into());
    }
    let bandwidths = [("bandwidth_gbs", soc.bandwidth_gbs), ("bandwidth_one_core_gbs", soc.bandwidth_one_core_gbs)];
    positive("the file", &bandwidths)?;
    if let Some(gpu) = &soc.gpu {
        let rates = [("f16_gmacs", gpu.f16_gmacs), ("f32_gmacs", gpu.f32_gmacs), ("int8_gmacs", gpu.int8_gmacs)];
        positive("gpu", &rates)?;
        positive("gpu", &[("bandwidth_gbs", gpu.bandwidth_gbs)])?;
        not_negative("gpu", &[("launch_us", gpu.launch_us), ("call_us", gpu.call_us)])?;
    }
    if let Some(npu) = &soc.npu {
        let rates = [("int8_gmacs", npu.int8_gmacs), ("float_gmacs", npu.float_gmacs)];
        positive("npu", &rates)?;
        positive("npu", &[("bandwidth_gbs", npu.bandwidth_gbs)])?;
        not_negative("npu", &[("call_us", npu.call_us)])?;
    }
    Ok(())
}

fn positive(place: &str, figures: &[(&str, f64)]) -> std::result::Result<(), String> {
    match figures.iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
        Some((field, value)) => Err(format!("{place}: {field} is {value} but must be above 0")),
        None => Ok(()),
    }
}

fn not_negative(place: &str, figures: &[(&str, f64)]) -> std::result::Result<(), String> {
    match figures.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
        Some((field, value)) => Err(format!("{place}: {field} is {value} but must not be negative")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_whole() {
        for name in known() {
            let soc = load(name).unwrap();
            assert_eq!(soc.name, name);
            assert!(soc.bandwidth_one_core_gbs <= soc.bandwidth_gbs && soc.int8_macs_per_second() > 1e10, "{name}");
        }
        let phone = load("snapdragon8g3").unwrap();
        assert!(phone.has("gpu") && phone.has("npu") && !phone.has("tpu"));
        assert_eq!(phone.big().map(|c| c.count).sum::<u32>(), 6);
    }

    #[test]
    fn an_unknown_name_lists_those_known() {
        let error = load("snapdragon9").unwrap_err().to_string();
        assert!(error.contains("'snapdragon9' is not known") && error.contains("dimensity9300"), "{error}");
        let error = load("no/such.yaml").unwrap_err().to_string();
        assert!(error.contains("no readable file") && error.contains("host"), "{error}");
    }

    #[test]
    fn a_file_of_ones_own_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.yaml");
        let text = std::fs::read_to_string("../../targets/soc/snapdragon8g3.yaml").unwrap();
        let complain = |from: &str, to: &str| {
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            load(path.to_str().unwrap()).map(|soc| soc.name).unwrap_err().to_string()
        };
        assert!(complain("bandwidth_gbs: 44.0", "bandwidth_gbs: 0").contains("bandwidth_gbs is 0 but must be above 0"));
        assert!(complain("cpu_family: aarch64", "cpu_family: vax").contains("'vax' is not known"));
        assert!(complain("title:", "titel:").contains("titel"));
        assert!(complain("level: i8mm", "level: sme").contains("level 'sme' is not among levels"));
        assert!(complain("call_us: 400", "call_us: .nan").contains("gpu: call_us"));
        std::fs::write(&path, &text).unwrap();
        assert_eq!(load(path.to_str().unwrap()).unwrap(), load("snapdragon8g3").unwrap());
    }
}
