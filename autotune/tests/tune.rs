//! Tuning real kernels on this machine, and what records refuse.

use mcv_ir::target::Target;
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, TensorType};
use mcv_targets::cpu::CpuTarget;
use mcv_targets::toolchain::Toolchain;
use mcv_tune::{Records, Request, tune};

fn matmul() -> Kernel {
    let x =
        TensorType::new(Elem::Q8 { group: 32 }, [Dim::up_to("tokens", 24), Dim::Is(128)]).with_layout(Layout::Summed);
    let w = TensorType::new(Elem::Q4 { group: 32 }, [Dim::Is(256), Dim::Is(128)])
        .with_layout(Layout::Panels { rows: 16, depth: 4 });
    let result = TensorType::f32([Dim::up_to("tokens", 24), Dim::Is(128)]);
    Kernel::new(Op::MatMul, vec![Pointwise::Gated(Act::Silu)], vec![x, w], result)
}

#[test]
fn a_kernel_is_tuned_and_its_record_comes_back() {
    let target = CpuTarget::x86_64();
    let level = &target.levels()[0];
    let toolchain = Toolchain::find().expect("a C compiler");
    let request = Request { target: &target, level, toolchain: &toolchain, machine: "test" };
    let mut told = 0;
    let records = tune(&[matmul()], &request, &mut |_| told += 1).expect("candidates compile and run");
    assert_eq!((told, records.records.len()), (1, 1));
    let record = &records.records[0];
    assert!(record.seconds > 0.0 && record.seconds <= record.default_seconds);
    assert!(target.schedules(&matmul(), level).contains(&record.schedule()));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("host.tuning.yaml");
    records.write(&path).expect("room for a file");
    let read = Records::read(&path).expect("what was written");
    assert_eq!(read, records);
    assert_eq!(read.schedule(&matmul(), level.name), Some(record.schedule()));
    assert_eq!(read.schedule(&matmul(), "another"), None);

    let text = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, text.replace("emitter: 1", "emitter: 99")).expect("room");
    let refusal = Records::read(&path).expect_err("stale").to_string();
    assert!(refusal.contains("emitter is 99") && refusal.contains("tune again"), "{refusal}");
    std::fs::write(&path, "records: [1, 2]").expect("room");
    assert!(Records::read(&path).expect_err("no records").to_string().contains("host.tuning.yaml"));
}

#[test]
fn merging_replaces_equal_keys() {
    let target = CpuTarget::x86_64();
    let toolchain = Toolchain::find().expect("a C compiler");
    let request = Request { target: &target, level: &target.levels()[0], toolchain: &toolchain, machine: "test" };
    let first = tune(&[matmul()], &request, &mut |_| ()).expect("tuned");
    let mut both = first.clone();
    both.merge(first.clone());
    assert_eq!(both, first);
    let mut other = first.clone();
    other.records[0].machine = "another".into();
    both.merge(other);
    assert_eq!(both.records.len(), 2);
}
