//! The page by itself; the window's tests open it with a network.

use super::*;

#[test]
fn what_was_not_read_is_said() {
    assert_eq!(remark(&[], 0), None);
    let said = remark(&["dragon".into(), "purple".into()], 2).unwrap();
    assert!(said.contains("does not know: dragon, purple."), "{said}");
    assert!(said.contains("last 2 words"), "{said}");
}
