//! A phone whose units differ much, so that small programs are spread over them.

use mcv_ir::soc::{Cluster, Gpu, Npu, Soc};

/// A slow CPU, a GPU ten times and an NPU a hundred times as fast, and calls that cost next to nothing.
pub fn phone() -> Soc {
    let cluster = Cluster {
        core: "core".into(),
        count: 1,
        ghz: 1.0,
        int8_macs: 1.0,
        int8_macs_i8mm: None,
        f32_macs: 0.1,
        level: String::new(),
        little: false,
    };
    Soc {
        name: "phone".into(),
        reports: vec![],
        title: "a phone".into(),
        cpu_family: "fake".into(),
        levels: vec![],
        clusters: vec![cluster],
        caches: vec![],
        bandwidth_gbs: 10.0,
        bandwidth_one_core_gbs: 10.0,
        ram_budget: 1 << 32,
        gpu: Some(Gpu {
            name: "gpu".into(),
            f16_gmacs: 10.0,
            f32_gmacs: 10.0,
            int8_gmacs: 10.0,
            bandwidth_gbs: 100.0,
            launch_us: 0.0,
            call_us: 0.1,
            max_alloc: 1 << 30,
            image_side: 16384,
            image_buffer: 1 << 27,
        }),
        npu: Some(Npu {
            name: "npu".into(),
            int8_gmacs: 100.0,
            float_gmacs: 100.0,
            bandwidth_gbs: 100.0,
            call_us: 0.1,
            address_limit: 1 << 30,
            vtcm: 1 << 23,
        }),
    }
}
