//! Valid and invalid `.npz` files; arrays are built byte by byte.

use super::*;

/// An `.npz` with one array `a` of these bytes, header included.
fn npz_file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a.npy", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(bytes).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), zip.finish().unwrap().into_inner()).unwrap();
    file
}

/// An array with this header dictionary, followed by `data`.
fn npy_bytes(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((dictionary.len() as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(data);
    bytes
}

fn read(bytes: &[u8]) -> Result<NpyArray> {
    NpzReader::open(npz_file(bytes).path())?.array("a")
}

fn error_text(bytes: &[u8]) -> String {
    let text = read(bytes).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("array `a`: "), "{text}");
    text
}

#[test]
fn reads_every_numeric_dtype() {
    let cases: [(&str, &[u8], f32); 15] = [
        ("|b1", &[1], 1.0),
        ("|u1", &[200], 200.0),
        ("|i1", &[0xff], -1.0),
        ("<u2", &[1, 2], 513.0),
        ("<i2", &[0xfe, 0xff], -2.0),
        ("<u4", &[0, 0, 1, 0], 65_536.0),
        ("<i4", &[0xff, 0xff, 0xff, 0xff], -1.0),
        ("<u8", &[3, 0, 0, 0, 0, 0, 0, 0], 3.0),
        ("<i8", &[4, 0, 0, 0, 0, 0, 0, 0], 4.0),
        ("<f4", &1.5_f32.to_le_bytes(), 1.5),
        ("<f8", &(-2.5_f64).to_le_bytes(), -2.5),
        ("<f2", &[0x00, 0xbe], -1.5),
        (">f4", &1.5_f32.to_be_bytes(), 1.5),
        (">i2", &[1, 2], 258.0),
        (">f2", &[0x3e, 0x00], 1.5),
    ];
    for (descr, data, expected) in cases {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n");
        let array = read(&npy_bytes(&text, data)).unwrap();
        assert_eq!(array.shape, [1], "{descr}");
        assert_eq!(array.to_f32().unwrap(), [expected], "{descr}");
        let wide = array.to_f64().unwrap();
        assert_eq!(wide, [f64::from(expected)], "{descr}");
    }
}

#[test]
fn fortran_order_is_put_in_c_order() {
    let text = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
    // Column by column: [[1, 2, 3], [4, 5, 6]].
    let data = [0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6];
    let array = read(&npy_bytes(text, &data)).unwrap();
    assert_eq!(array.shape, [2, 3]);
    assert_eq!(array.to_i64().unwrap(), [1, 2, 3, 4, 5, 6]);
    let empty = "{'descr': '|u1', 'fortran_order': True, 'shape': (0, 3), }\n";
    assert!(
        read(&npy_bytes(empty, &[]))
            .unwrap()
            .into_u8()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn arrays_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let mut file = NpzWriter::new(&path);
    file.add("bytes", &[2, 3], &[0_u8, 1, 2, 3, 4, 255])
        .unwrap();
    file.add("numbers", &[2], &[-7_i32, 7]).unwrap();
    file.add("one", &[], &[0.25_f32]).unwrap();
    file.add("none", &[0, 4], &[] as &[bool]).unwrap();
    file.save().unwrap();
    let mut archive = NpzReader::open(&path).unwrap();
    assert_eq!(archive.names(), ["bytes", "none", "numbers", "one"]);
    let bytes = archive.array("bytes").unwrap();
    assert_eq!(bytes.shape, [2, 3]);
    assert_eq!(bytes.into_u8().unwrap(), [0, 1, 2, 3, 4, 255]);
    assert_eq!(archive.array("numbers").unwrap().to_i64().unwrap(), [-7, 7]);
    assert_eq!(archive.array("one").unwrap().to_f32().unwrap(), [0.25]);
    assert_eq!(archive.array("none").unwrap().shape, [0, 4]);
}

#[test]
fn headers_are_64_byte_aligned() {
    for shape in [&[][..], &[5], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
        let bytes = header_bytes("<f4", shape);
        assert_eq!(bytes.len() % 64, 0);
        let (header, used) = read_header(&mut bytes.as_slice()).unwrap();
        assert_eq!(used as usize, bytes.len());
        assert_eq!(header.dtype, NpyDtype::Float(4));
        let sides: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
        assert_eq!(header.shape, sides);
    }
}

#[test]
fn wrong_value_count_is_rejected() {
    let mut file = NpzWriter::new(Path::new("never-written.npz"));
    assert!(file.add("a", &[2, 2], &[1_u8, 2, 3]).is_err());
    assert!(file.add("a", &[usize::MAX, 2], &[1_u8]).is_err());
}

#[test]
fn oversized_header_is_rejected() {
    let shapes = [
        "(18446744073709551615,)",
        "(4294967296, 4294967296, 4294967296)",
        "(1000000000000,)",
        "(5,)",
        "(3,)",
    ];
    for shape in shapes {
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let text = error_text(&npy_bytes(&text, &[1, 2, 3, 4]));
        assert!(text.contains("but 4 bytes follow"), "{text}");
    }
}

#[test]
fn oversized_zip_entry_is_rejected() {
    // The zip directory and the header both declare three gigabytes, but only five bytes follow.
    let declared = 3_000_000_000_u32;
    let header = header_bytes("|u1", &[declared as usize]);
    let mut bytes = std::fs::read(npz_file(&[header.as_slice(), &[0; 5]].concat()).path()).unwrap();
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let total = declared + header.len() as u32;
    bytes[directory + 24..directory + 28].copy_from_slice(&total.to_le_bytes());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let error = NpzReader::open(file.path())
        .unwrap()
        .array("a")
        .unwrap_err();
    assert!(error.to_string().contains("array `a`: "), "{error}");
}

#[test]
fn invalid_headers_are_reported() {
    let deep = format!("{{'descr': {}", "[".repeat(60_000));
    let cases: [(Vec<u8>, &str); 6] = [
        (vec![1, 2, 3], "header is truncated or corrupt"),
        (b"not an array at all".to_vec(), "not a NumPy array"),
        (npy_bytes(&deep, &[]), "header is not a NumPy header"),
        (
            npy_bytes("{'descr': '|u1'}", &[]),
            "header is not a NumPy header",
        ),
        (
            npy_bytes(
                "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
                &[],
            ),
            "header is not a NumPy header",
        ),
        (
            [MAGIC.as_slice(), &[2, 0, 0xff, 0xff, 0xff, 0xff]].concat(),
            "header is 4294967295 bytes long",
        ),
    ];
    for (bytes, expected) in cases {
        let text = error_text(&bytes);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn unsupported_dtypes_are_reported() {
    for descr in [
        "'|O'",
        "'<U5'",
        "'>U5'",
        "'<c8'",
        "'<f16'",
        "''",
        "[('x', '<f4')]",
    ] {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n");
        let text = error_text(&npy_bytes(&text, &[0; 8]));
        assert!(
            text.contains("expected booleans, integers or floats"),
            "{text}"
        );
    }
}

#[test]
fn missing_array_lists_the_others() {
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n";
    let file = npz_file(&npy_bytes(text, &[1]));
    let mut archive = NpzReader::open(file.path()).unwrap();
    let text = archive.array("b").unwrap_err().to_string();
    assert!(
        text.contains("array `b`: missing; the file has: a"),
        "{text}"
    );
}

#[test]
fn non_zip_file_is_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for bytes in [
        &b""[..],
        b"PK",
        b"some text that is long enough to hold a zip directory",
    ] {
        std::fs::write(file.path(), bytes).unwrap();
        let error = NpzReader::open(file.path()).err().unwrap();
        let error = error.to_string();
        assert!(error.ends_with("not an .npz file, or truncated"), "{error}");
    }
}

#[test]
fn corrupt_files_never_panic() {
    let data: Vec<u8> = (0..600_u32).map(|i| (i * i / 7) as u8).collect();
    let good =
        std::fs::read(npz_file(&[header_bytes("|u1", &[600]), data.clone()].concat()).path());
    let good = good.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).unwrap();
        NpzReader::open(file.path())?.array("a")
    };
    assert_eq!(load(&good).unwrap().into_u8().unwrap(), data);
    for length in 0..good.len() {
        let error = load(&good[..length]).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for position in 0..good.len() {
        let mut bytes = good.clone();
        bytes[position] ^= 0x55;
        // Bytes that nothing depends on, such as dates, may change; the data may not.
        if let Ok(array) = load(&bytes) {
            assert_eq!(array.into_u8().unwrap(), data, "byte {position}");
        }
    }
}

#[test]
fn missing_folder_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/a.npz");
    let mut file = NpzWriter::new(&path);
    file.add("a", &[1], &[1_u8]).unwrap();
    let text = file.save().unwrap_err().to_string();
    assert!(text.contains("missing"), "{text}");
}

#[test]
fn save_leaves_no_temporary_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    for value in [1_u8, 2] {
        let mut file = NpzWriter::new(&path);
        file.add("a", &[1], &[value]).unwrap();
        file.save().unwrap();
        let array = NpzReader::open(&path).unwrap().array("a").unwrap();
        assert_eq!(array.into_u8().unwrap(), [value]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn what_is_not_read_is_not_written() {
    // Zeros take no memory until they are touched, which the writer does not get to.
    let long = vec![0_u8; MAX_ARRAY as usize + 1];
    let folder = tempfile::tempdir().unwrap();
    let mut file = NpzWriter::new(&folder.path().join("a.npz"));
    let message = file
        .add("image", &[long.len()], &long)
        .unwrap_err()
        .to_string();
    assert!(
        message
            .contains("a.npz: array `image`: 4294967297 bytes long, expected at most 4294967296"),
        "{message}"
    );
}

#[test]
fn many_arrays_are_found() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let array = npy_bytes(
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n",
        &[7],
    );
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    // Enough for sorting all names at every array to be noticed.
    for index in 0..20_000 {
        zip.start_file(format!("{index}.npy"), options).unwrap();
        zip.write_all(&array).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), zip.finish().unwrap().into_inner()).unwrap();
    let mut archive = NpzReader::open(file.path()).unwrap();
    for name in archive.names() {
        assert_eq!(archive.array(&name).unwrap().into_u8().unwrap(), [7]);
    }
}

fn texts(descr: &str, data: &[u8]) -> Result<(Vec<usize>, Vec<String>)> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}\n");
    NpzReader::open(npz_file(&npy_bytes(&text, data)).path())?.texts("a")
}

/// UCS-4, little-endian.
fn wide(text: &str) -> Vec<u8> {
    text.chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect()
}

#[test]
fn reads_texts() {
    let both = |a: &str, b: &str| (vec![2], vec![a.to_owned(), b.to_owned()]);
    let narrow = texts("|S4", b"up\0\0left").unwrap();
    assert_eq!(narrow, both("up", "left"));
    let unicode = texts("<U3", &wide("шар\0\0\0")).unwrap();
    assert_eq!(unicode, both("шар", ""));
}

#[test]
fn what_is_no_text_is_refused() {
    let error = |descr, data: &[u8]| texts(descr, data).unwrap_err().to_string();
    let numbers = error("<i4", &[0; 8]);
    assert!(
        numbers.contains("dtype is int32, expected texts"),
        "{numbers}"
    );
    let empty = error("<U0", &[]);
    assert!(empty.contains("dtype is `<U0`"), "{empty}");
    let surrogate = error("<U1", &[0, 0xd8, 0, 0, 65, 0, 0, 0]);
    assert!(surrogate.contains("not valid Unicode"), "{surrogate}");
    assert!(error("|S1", &[0xff, b'a']).contains("not valid Unicode"));
    assert!(error("<U9999999999", &[0; 8]).contains("its header says"));
    // As numbers they are refused as before.
    let text = "{'descr': '|S4', 'fortran_order': False, 'shape': (2,), }\n";
    let refused = error_text(&npy_bytes(text, b"up\0\0left"));
    assert!(
        refused.contains("dtype is `|S4`, expected booleans"),
        "{refused}"
    );
}
