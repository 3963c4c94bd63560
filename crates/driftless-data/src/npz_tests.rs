//! Files that `npz` must read, and broken ones that it must name. Arrays are built byte by byte.

use super::*;

/// An `.npz` with one array `a` of these bytes, header included.
fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a.npy", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(bytes).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), zip.finish().unwrap().into_inner()).unwrap();
    file
}

/// A header with this dictionary, followed by `data`.
fn array_of(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((dictionary.len() as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(data);
    bytes
}

fn read(bytes: &[u8]) -> Result<Array> {
    Archive::open(file_of(bytes).path())?.array("a")
}

fn complaint(bytes: &[u8]) -> String {
    let text = read(bytes).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("array `a`: "), "{text}");
    text
}

#[test]
fn every_plain_dtype_is_read_as_numbers() {
    let cases: [(&str, &[u8], f32); 11] = [
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
    ];
    for (descr, data, expected) in cases {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n");
        let array = read(&array_of(&text, data)).unwrap();
        assert_eq!(array.shape, [1], "{descr}");
        assert_eq!(array.to_f32().unwrap(), [expected], "{descr}");
    }
}

#[test]
fn written_arrays_come_back_with_their_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let mut file = Writer::new(&path);
    file.add("bytes", &[2, 3], &[0_u8, 1, 2, 3, 4, 255])
        .unwrap();
    file.add("numbers", &[2], &[-7_i32, 7]).unwrap();
    file.add("one", &[], &[0.25_f32]).unwrap();
    file.add("none", &[0, 4], &[] as &[bool]).unwrap();
    file.save().unwrap();
    let mut archive = Archive::open(&path).unwrap();
    assert_eq!(archive.names(), ["bytes", "none", "numbers", "one"]);
    let bytes = archive.array("bytes").unwrap();
    assert_eq!(bytes.shape, [2, 3]);
    assert_eq!(bytes.into_u8().unwrap(), [0, 1, 2, 3, 4, 255]);
    assert_eq!(archive.array("numbers").unwrap().to_i64().unwrap(), [-7, 7]);
    assert_eq!(archive.array("one").unwrap().to_f32().unwrap(), [0.25]);
    assert_eq!(archive.array("none").unwrap().shape, [0, 4]);
}

#[test]
fn a_written_header_is_aligned_as_numpy_aligns_it() {
    for shape in [&[][..], &[5], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
        let bytes = header_bytes("<f4", shape);
        assert_eq!(bytes.len() % 64, 0);
        let (header, used) = read_header(&mut bytes.as_slice()).unwrap();
        assert_eq!(used as usize, bytes.len());
        assert_eq!(header.dtype, Dtype::Float(4));
        let sides: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
        assert_eq!(header.shape, sides);
    }
}

#[test]
fn values_that_do_not_fill_the_shape_are_refused() {
    let mut file = Writer::new(Path::new("never-written.npz"));
    assert!(file.add("a", &[2, 2], &[1_u8, 2, 3]).is_err());
    assert!(file.add("a", &[usize::MAX, 2], &[1_u8]).is_err());
}

#[test]
fn a_header_that_promises_too_much_is_refused_before_allocating() {
    let shapes = [
        "(18446744073709551615,)",
        "(4294967296, 4294967296, 4294967296)",
        "(1000000000000,)",
        "(5,)",
        "(3,)",
    ];
    for shape in shapes {
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let text = complaint(&array_of(&text, &[1, 2, 3, 4]));
        assert!(text.contains("but 4 bytes follow"), "{text}");
    }
}

#[test]
fn a_table_of_contents_that_promises_too_much_is_refused_before_allocating() {
    // Three gigabytes promised by the archive's table and by the header alike, five bytes stored.
    let promised = 3_000_000_000_u32;
    let header = header_bytes("|u1", &[promised as usize]);
    let mut bytes = std::fs::read(file_of(&[header.as_slice(), &[0; 5]].concat()).path()).unwrap();
    let table = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let total = promised + header.len() as u32;
    bytes[table + 24..table + 28].copy_from_slice(&total.to_le_bytes());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let error = Archive::open(file.path()).unwrap().array("a").unwrap_err();
    assert!(error.to_string().contains("array `a`: "), "{error}");
}

#[test]
fn broken_headers_are_named() {
    let deep = format!("{{'descr': {}", "[".repeat(60_000));
    let cases: [(Vec<u8>, &str); 7] = [
        (vec![1, 2, 3], "header cannot be read"),
        (b"not an array at all".to_vec(), "not a NumPy array"),
        (array_of(&deep, &[]), "header is not one of NumPy's"),
        (
            array_of("{'descr': '|u1'}", &[]),
            "header is not one of NumPy's",
        ),
        (
            array_of(
                "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
                &[],
            ),
            "header is not one of NumPy's",
        ),
        (
            array_of(
                "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2)}",
                &[1, 2],
            ),
            "Fortran order",
        ),
        (
            [MAGIC.as_slice(), &[2, 0, 0xff, 0xff, 0xff, 0xff]].concat(),
            "header is 4294967295 bytes long",
        ),
    ];
    for (bytes, expected) in cases {
        let text = complaint(&bytes);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn dtypes_that_are_not_plain_numbers_are_named() {
    for descr in [
        "'|O'",
        "'<U5'",
        "'>f4'",
        "'<c8'",
        "'<f2'",
        "''",
        "[('x', '<f4')]",
    ] {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n");
        let text = complaint(&array_of(&text, &[0; 8]));
        assert!(text.contains("expected plain numbers"), "{text}");
    }
}

#[test]
fn a_missing_array_is_named_with_those_at_hand() {
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n";
    let file = file_of(&array_of(text, &[1]));
    let mut archive = Archive::open(file.path()).unwrap();
    let text = archive.array("b").unwrap_err().to_string();
    assert!(
        text.contains("array `b`: missing; the file holds: a"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_archive_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for bytes in [
        &b""[..],
        b"PK",
        b"some text that is long enough to hold a table",
    ] {
        std::fs::write(file.path(), bytes).unwrap();
        let error = Archive::open(file.path()).err().unwrap();
        assert!(error.to_string().contains("not an .npz file"), "{error}");
    }
}

#[test]
fn truncated_and_damaged_files_are_errors_and_never_panics() {
    let data: Vec<u8> = (0..600_u32).map(|i| (i * i / 7) as u8).collect();
    let good = std::fs::read(file_of(&[header_bytes("|u1", &[600]), data.clone()].concat()).path());
    let good = good.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).unwrap();
        Archive::open(file.path())?.array("a")
    };
    assert_eq!(load(&good).unwrap().into_u8().unwrap(), data);
    for length in 0..good.len() {
        let error = load(&good[..length]).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for position in 0..good.len() {
        let mut bytes = good.clone();
        bytes[position] ^= 0x55;
        // A byte that nothing depends on (a date) may change; a changed number may not pass.
        if let Ok(array) = load(&bytes) {
            assert_eq!(array.into_u8().unwrap(), data, "byte {position}");
        }
    }
}

#[test]
fn saving_into_a_missing_folder_fails_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/a.npz");
    let mut file = Writer::new(&path);
    file.add("a", &[1], &[1_u8]).unwrap();
    let text = file.save().unwrap_err().to_string();
    assert!(text.contains("missing"), "{text}");
}

#[test]
fn saving_leaves_nothing_but_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    for value in [1_u8, 2] {
        let mut file = Writer::new(&path);
        file.add("a", &[1], &[value]).unwrap();
        file.save().unwrap();
        let array = Archive::open(&path).unwrap().array("a").unwrap();
        assert_eq!(array.into_u8().unwrap(), [value]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
