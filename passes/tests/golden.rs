//! What each pass makes of small programs: `golden/<pass>/<case>.txt`.

mod support;

use mcv_passes::pass::pipeline;
use support::golden::run_cases;

/// Runs the cases of one pass; all passes of the pipeline are asked for.
fn check(name: &str) {
    let pass = pipeline().into_iter().find(|p| p.name() == name);
    let cases = run_cases(pass.unwrap_or_else(|| panic!("there is no pass {name}")).as_ref());
    assert!(cases > 0, "{name} has no case");
}

macro_rules! cases {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*

        #[test]
        fn every_pass_has_cases() {
            let names: Vec<&str> = pipeline().iter().map(|p| p.name()).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

cases! {
    fold: "fold",
    quantize: "quantize",
    fuse_attention: "fuse-attention",
    fuse_siblings: "fuse-siblings",
    fuse_gated: "fuse-gated",
    fuse_rope: "fuse-rope",
    fuse_epilogue: "fuse-epilogue",
    fuse_norm: "fuse-norm",
    place: "place",
    layout: "layout",
    narrow: "narrow",
}
