//! Quantized blocks against gguf-py's values (`gguf/blocks.py` writes them), bit for bit.

use mcv_import::gguf::Format;

const GOLDEN: &str = include_str!("gguf/blocks.txt");
/// Numbers of the formats in a file.
const CODES: [u32; 15] = [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30];

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("hex") as u8;
    hex.as_bytes().chunks_exact(2).map(|c| digit(c[0]) << 4 | digit(c[1])).collect()
}

fn named(name: &str) -> Format {
    let all = CODES.map(|code| Format::of(code).expect("known"));
    all.into_iter().find(|f| f.name() == name).expect("the golden names known formats")
}

#[test]
fn blocks_mean_what_gguf_py_says() {
    let mut seen = 0;
    for line in GOLDEN.lines() {
        let [name, block, values] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("three words: {line}") };
        let format = named(name);
        let block = bytes(block);
        assert_eq!(block.len() as u64 % format.block_bytes(), 0, "{name}");
        let expected: Vec<u32> =
            bytes(values).chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]])).collect();
        let found: Vec<u32> = format.decode(&block).into_iter().map(f32::to_bits).collect();
        assert_eq!(found, expected, "{name}");
        seen += 1;
    }
    assert_eq!(seen, CODES.len() - 3, "every quantized format has a golden");
}

#[test]
fn plain_numbers() {
    assert_eq!(named("F32").decode(&1.5f32.to_le_bytes()), [1.5]);
    assert_eq!(named("F16").decode(&[0x00, 0x3e, 0x00, 0xbc]), [1.5, -1.0]);
    assert_eq!(named("BF16").decode(&[0xc0, 0x3f]), [1.5]);
}

#[test]
fn other_formats_are_refused_with_the_list_of_known_ones() {
    for code in [4, 5, 9, 16, 31, 39, 41, u32::MAX] {
        let error = Format::of(code).expect_err("not read");
        assert!(error.contains("Q4_0") && error.contains("IQ4_NL"), "{error}");
    }
    assert!(Format::of(16).expect_err("not read").contains("IQ2_XXS"));
}
