//! Kinds of pictures, and files that are none.

use std::io::Cursor;

use super::fixture::bytes;
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb as Pixel, Rgba};
use mcv_runtime::image::{ImageError, Rgb, decode};
use proptest::prelude::*;

fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn first_pixel(picture: impl Into<DynamicImage>) -> [u8; 3] {
    let data = decode("p.png", &file(picture, ImageFormat::Png)).unwrap().into_data();
    [data[0], data[1], data[2]]
}

#[test]
fn every_kind_of_pixel_becomes_rgb() {
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, Luma([7u8]))), [7; 3]);
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, LumaA([7u8, 0]))), [7; 3]);
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, Pixel([1u8, 2, 3]))), [1, 2, 3]);
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, Rgba([1u8, 2, 3, 0]))), [1, 2, 3], "alpha is dropped");
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, Luma([0x12FFu16]))), [0x12; 3], "the high byte is kept");
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, LumaA([0x12FFu16, 0]))), [0x12; 3]);
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, Pixel([0x12FFu16, 0x3480, 0xFFFF]))), [0x12, 0x34, 0xFF]);
    assert_eq!(first_pixel(ImageBuffer::from_pixel(2, 1, Rgba([0x12FFu16, 0x3480, 0, 0]))), [0x12, 0x34, 0]);
}

#[test]
fn adobe_cmyk_becomes_rgb() {
    let picture = decode("cmyk.jpg", &bytes("image/cmyk.jpg")).unwrap();
    let near = |a: &u8, b: &u8| a.abs_diff(*b) <= 2;
    assert!(picture.data()[..3].iter().zip(&[49, 190, 216]).all(|(a, b)| near(a, b)), "{:?}", &picture.data()[..3]);
}

#[test]
fn what_is_no_picture_is_refused_by_name() {
    for bytes in [&b""[..], b"hello", b"II*\0\x08\0\0\0", b"%PDF-1.7"] {
        let error = decode("scan.tif", bytes).unwrap_err();
        assert!(matches!(error, ImageError::Format { .. }), "{error}");
        assert!(error.to_string().starts_with("scan.tif: ") && error.to_string().contains("PNG"), "{error}");
    }
}

/// A PNG header for a picture of the given size, with no data behind it.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = !chunk.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    });
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &chunk, &crc.to_be_bytes(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat()
}

#[test]
fn absurd_sizes_are_refused_before_decoding() {
    for (width, height) in [(32_769, 1), (1, 32_769), (32_768, 32_768), (u32::MAX >> 1, 1), (10_001, 10_000)] {
        let error = decode("big.png", &png_header(width, height)).unwrap_err();
        assert!(matches!(error, ImageError::Size { .. }), "{error}");
        assert!(error.to_string().contains("32768") && error.to_string().contains("100000000"), "{error}");
    }
    assert!(decode("none.png", &png_header(0, 5)).is_err());
    assert!(matches!(Rgb::from_raw(0, 1, &[]), Err(ImageError::Size { .. })));
    assert!(matches!(Rgb::from_raw(2, 1, &[0; 5]), Err(ImageError::Length { needed: 6, given: 5, .. })));
}

fn picture() -> ImageBuffer<Pixel<u8>, Vec<u8>> {
    ImageBuffer::from_fn(40, 30, |x, y| Pixel([(x * 37 % 251) as u8, (y * 53 % 241) as u8, (x * y % 239) as u8]))
}

#[test]
fn truncated_files_are_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let whole = file(picture(), format);
        assert!(decode("whole", &whole).is_ok());
        for length in 0..whole.len() - 12 {
            assert!(decode("cut", &whole[..length]).is_err(), "{format:?} cut to {length} of {}", whole.len());
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in 0usize..5, tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let magic: [&[u8]; 5] = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM"];
        let _ = decode("noise", &[magic[kind], &tail].concat());
    }

    #[test]
    fn damaged_files_never_panic(format in 0usize..5, at in any::<prop::sample::Index>(), byte: u8) {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
        let mut damaged = file(picture(), [Png, Jpeg, Gif, Bmp, WebP][format]);
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if let Ok(picture) = decode("damaged", &damaged) {
            prop_assert_eq!(picture.data().len(), picture.width() as usize * picture.height() as usize * 3);
        }
    }
}
