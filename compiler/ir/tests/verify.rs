//! What the verifier rejects, and that it names phase and node.

mod programs;

use mcv_ir::text::parse;
use mcv_ir::verify::verify;
use mcv_ir::{Op, Program, Stage, WeightId};
use programs::{CACHED, EVERYTHING};

fn program(find: &str, put: &str) -> Program {
    assert!(EVERYTHING.contains(find), "{find}");
    parse(&EVERYTHING.replacen(find, put, 1), None).unwrap()
}

fn rejects(program: &Program, words: &[&str]) {
    let error = verify(program).expect_err("accepted").to_string();
    assert!(words.iter().all(|w| error.contains(w)), "{error:?} does not say {words:?}");
}

#[test]
fn right_programs_pass() {
    verify(&parse(EVERYTHING, None).unwrap()).unwrap();
    verify(&parse(CACHED, None).unwrap()).unwrap();
}

#[test]
fn declared_types_follow_from_inputs() {
    let wrong = |find, put, words: &[&str]| rejects(&program(find, put), words);
    wrong(
        "image_rows) : f32[tokens<=8,32]",
        "image_rows) : f32[tokens<=9,32]",
        &["phase prefill", "node x.1", "tokens<=9"],
    );
    wrong("gather(embed, token_ids)", "gather(token_ids, embed)", &["node x.0", "gather", "(table)"]);
    wrong("{bias(gain), gelu", "{bias(x.0), gelu", &["node y", "epilogue of matmul", "bias"]);
    wrong("{bias(gain), gelu", "{bias(gain), gated_silu, gelu", &["node y", "(operand)"]);
    wrong("mix(soft, keys,", "mix(soft,", &["node mix", "mix takes (p, v)"]);
    wrong(
        "embed = weight %0 : bf16",
        "embed = weight %0 : f16",
        &["node embed", "the program's table has bf16[100,32]"],
    );
    wrong("f16[context<=32,16]", "f16[context<=33,16]", &["node keys", "the state is f16[32,16]"]);
    wrong("store @0", "store @1", &["node keys", "(x)"]);
    wrong("= input \"token_ids\" : i32", "= input \"token_ids\" : f16", &["node token_ids", "f32 or i32"]);
    wrong("output \"logits\"(g)", "output \"logits\"(g) {gelu}", &["node logits", "epilogue"]);
}

#[test]
fn ids_exist_and_names_are_unique() {
    rejects(&program("= weight %5 :", "= weight %6 :"), &["node inv_freq", "weight %6 does not exist"]);
    rejects(&program("= state @1 :", "= state @9 :"), &["node image", "state @9 does not exist"]);
    rejects(&program("\"image_tokens\"", "\"kv.0.k\""), &["state kv.0.k exists twice"]);
    rejects(&program("\"qk\" q4", "\"gain\" q4"), &["weight gain exists twice"]);
    rejects(&program("input \"positions\"", "input \"token_ids\""), &["node positions", "another input token_ids"]);
    let mut p = parse(EVERYTHING, None).unwrap();
    let graph = &mut p.phases[0].graph;
    let node = graph.find("x.0").unwrap();
    graph.node_mut(node).name = "embed".into();
    rejects(&p, &["phase prefill", "node embed exists twice"]);
}

#[test]
fn cycles_are_found() {
    let mut p = parse(EVERYTHING, None).unwrap();
    let graph = &mut p.phases[0].graph;
    let (a, m) = (graph.find("a").unwrap(), graph.find("m").unwrap());
    graph.set_inputs(a, &[m, m]);
    rejects(&p, &["phase prefill", "cycle"]);
}

#[test]
fn sources_give_what_the_type_says() {
    let wrong = |find, put, words: &[&str]| rejects(&program(find, put), words);
    wrong("\"llm.embed\" 0..100", "\"llm.embed\" 0..99", &["weight embed", "99 rows", "needs 100"]);
    wrong("\"llm.embed\" 0..100", "\"llm.embed\" 100..0", &["weight embed", "are none"]);
    wrong("\"proj\" 0..32 transposed", "\"proj\" 0..31 transposed", &["weight proj", "width 31"]);
    wrong("\"k\" 8..24", "\"k\" 8..25", &["weight qk", "49 rows"]);
    wrong("[1.0, 0.1, 0.01, 0.001]", "[1.0, 0.1]", &["weight inv_freq", "2 rows"]);
    wrong("p = weight %2", "p = weight %4", &["weight double", "node p"]);
    wrong("out = output \"out\"(twice) : f32[32,32]\n", "\n", &["weight double", "0 outputs"]);
    wrong("p = weight %2 : bf16[32,32]", "p = input \"p\" : f32[32,32]", &["weight double", "no constant"]);
    wrong("f32[4] = inline", "f32[a<=4] = inline", &["weight inv_freq", "must be known"]);
}

#[test]
fn nothing_is_folded_from_itself() {
    let p = program("bf16[32,32]\n  twice", "f32[32,32]\n  twice");
    let mut p2 = p.clone();
    let mcv_ir::Source::Folded(graph) = &mut p2.weights[4].source else { panic!("not folded") };
    let node = graph.find("p").unwrap();
    graph.node_mut(node).op = Op::Weight(WeightId(4));
    rejects(&p2, &["weight double is folded from itself"]);
}

#[test]
fn stages_keep_their_promise() {
    let unplaced = program("m = mul(a, last) : f32[1,32] @cpu", "m = mul(a, last) : f32[1,32]");
    rejects(&unplaced, &["node m has no unit"]);
    verify(&Program { stage: Stage::Fused, ..unplaced }).unwrap();
    let free = program("qk = weight %3 : q4/32[48,32]@panels16x4", "qk = weight %3 : q4/32[48,32]");
    verify(&free).unwrap();
    rejects(&Program { stage: Stage::LaidOut, ..free }, &["node qk", "laid out"]);
}
