//! File formats whose checksums and lengths must be right for a mutation to reach what is behind them.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::mutate;

/// CRC-32 as in zip archives and PNG.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut sum = u32::MAX;
    for &byte in parts.iter().copied().flatten() {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}

/// An entry of an archive: an `.npy` file.
#[derive(Clone)]
pub struct Array {
    pub name: String,
    /// The Python literal of its header.
    pub header: String,
    pub data: Vec<u8>,
}

/// The arrays of an archive that `driftless` has written.
pub fn read_npz(path: &std::path::Path) -> Vec<Array> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    (0..zip.len())
        .map(|index| {
            let mut file = zip.by_index(index).unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
            let name = file.name().unwrap().trim_end_matches(".npy").to_owned();
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            Array {
                name,
                header: String::from_utf8(bytes[10..10 + length].to_vec()).unwrap(),
                data: bytes[10 + length..].to_vec(),
            }
        })
        .collect()
}

/// An archive of the arrays, with a mutation of some of them, or of the archive's own bytes.
pub fn mutated_npz(arrays: &[Array], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut arrays = arrays.to_vec();
    for _ in 0..rng.random_range(0..=3) {
        change_arrays(&mut arrays, rng);
    }
    let mut bytes = zip_stored(&arrays);
    if rng.random_bool(0.2) {
        mutate::bytes(&mut bytes, rng);
    }
    bytes
}

fn change_arrays(arrays: &mut Vec<Array>, rng: &mut ChaCha8Rng) {
    if arrays.is_empty() {
        return;
    }
    let index = rng.random_range(0..arrays.len());
    match rng.random_range(0..9) {
        0..=2 => {
            let text = mutate::text(&arrays[index].header, rng);
            arrays[index].header = String::from_utf8_lossy(&text).into_owned();
        }
        3 => mutate::bytes(&mut arrays[index].data, rng),
        4 => {
            // Numbers that are none, or out of range.
            let data = &mut arrays[index].data;
            let value: [u8; 4] = *[f32::NAN, f32::INFINITY, -1.0, 0.5, 1e30, 70_000.0]
                .map(f32::to_le_bytes)
                .choose(rng)
                .unwrap();
            if data.len() >= 4 {
                let at = rng.random_range(0..data.len() / 4) * 4;
                data[at..at + 4].copy_from_slice(&value);
            }
        }
        5 => drop(arrays.remove(index)),
        6 => {
            let twin = arrays[index].clone();
            arrays.push(twin);
        }
        7 => {
            let types = [
                "|u1", "<u2", "<i8", ">i4", "<f2", ">f8", "|b1", "<f4", "|O", "<c8", "<U4", "<f16",
            ];
            let header = &arrays[index].header;
            let old = header.split('\'').nth(3).unwrap_or_default().to_owned();
            let new = types.choose(rng).copied().unwrap_or_default();
            arrays[index].header = header.replace(&old, new);
        }
        _ => {
            let other = rng.random_range(0..arrays.len());
            let name = arrays[other].name.clone();
            arrays[index].name = name;
        }
    }
}

/// A zip archive without compression.
fn zip_stored(arrays: &[Array]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for array in arrays {
        let mut content = b"\x93NUMPY\x01\x00".to_vec();
        content.extend((array.header.len() as u16).to_le_bytes());
        content.extend(array.header.as_bytes());
        content.extend(&array.data);
        let name = format!("{}.npy", array.name);
        let offset = bytes.len() as u32;
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        fields.extend(crc32(&[&content]).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&fields);
        bytes.extend(name.as_bytes());
        bytes.extend(&content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = bytes.len() as u32;
    let count = (arrays.len() as u16).to_le_bytes();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
    bytes.extend(count);
    bytes.extend(count);
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// A PNG with a mutation of a chunk's content, its checksum right.
pub fn mutated_png(png: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    if rng.random_bool(0.2) {
        let mut bytes = png.to_vec();
        mutate::bytes(&mut bytes, rng);
        return bytes;
    }
    let (signature, mut rest) = png.split_at(8);
    let mut chunks: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    while rest.len() >= 12 {
        let length = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        chunks.push((rest[4..8].to_vec(), rest[8..8 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    let index = rng.random_range(0..chunks.len());
    match rng.random_range(0..6) {
        0 => drop(chunks.remove(index)),
        1 => {
            let twin = chunks[index].clone();
            let to = rng.random_range(0..=chunks.len());
            chunks.insert(to, twin);
        }
        2 => {
            let kinds = [
                b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"iCCP", b"eXIf",
            ];
            let kind = kinds.choose(rng).map(|kind| kind.to_vec());
            chunks[index].0 = kind.unwrap_or_default();
        }
        // The size, depth and colours are the most telling bytes.
        3 => mutate::bytes(&mut chunks[0].1, rng),
        _ => mutate::bytes(&mut chunks[index].1, rng),
    }
    let mut bytes = signature.to_vec();
    for (kind, content) in chunks {
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(&kind);
        bytes.extend(&content);
        bytes.extend(crc32(&[&kind, &content]).to_be_bytes());
    }
    bytes
}

/// A safetensors file with a mutation of its header, whose length is right.
pub fn mutated_safetensors(file: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let (header, data) = (&file[8..8 + length], &file[8 + length..]);
    let mut data = data.to_vec();
    let header = match rng.random_range(0..4) {
        0 => {
            mutate::bytes(&mut data, rng);
            header.to_vec()
        }
        _ => mutate::text(std::str::from_utf8(header).unwrap(), rng),
    };
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    if rng.random_bool(0.1) {
        mutate::bytes(&mut bytes, rng);
    }
    bytes
}
