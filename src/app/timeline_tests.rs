//! Geometry, branches and strides of the timeline.

use super::*;

fn branch(branch: u32, fork_index: usize, end: usize) -> BranchInfo {
    BranchInfo {
        branch,
        parent: branch.checked_sub(1),
        fork_index,
        first: 0,
        end,
    }
}

#[test]
fn offset_stays_within_branch() {
    let mut timeline = Timeline::default();
    assert_eq!(timeline.offset(-1), None);
    for index in 0..4 {
        timeline.set_position(TimelinePosition { branch: 0, index });
    }
    assert_eq!(timeline.offset(1), None);
    let back = timeline.offset(-1).unwrap();
    assert_eq!(back.index, 2);
    timeline.set_position(back);
    assert_eq!(timeline.offset(1).unwrap().index, 3);
}

#[test]
fn deleted_branch_is_not_compared() {
    let mut timeline = Timeline::default();
    timeline.set_branches(vec![branch(0, 0, 5), branch(1, 3, 9), branch(4, 2, 3)]);
    timeline.set_compared(Some(1));
    timeline.set_branches(vec![branch(0, 0, 5), branch(4, 2, 3)]);
    assert_eq!(timeline.compared, None);
    assert_eq!(timeline.branch_number(4), 2);
}

#[test]
fn scale_maps_points_to_frames() {
    let strip = Rect::from_min_size(pos2(10.0, 0.0), vec2(508.0, 50.0));
    let scale = FrameScale {
        strip,
        first: 100,
        end: 351,
    };
    for index in [100, 101, 225, 350] {
        assert_eq!(scale.index(scale.x(index)), index);
    }
    assert_eq!((scale.index(-50.0), scale.index(900.0)), (100, 350));
}

#[test]
fn stride_is_power_of_two() {
    let timeline = Timeline::default();
    assert_eq!(timeline.stride(0, 10, 16), 1);
    assert_eq!(timeline.stride(0, 17, 16), 2);
    assert_eq!(timeline.stride(100, 1100, 16), 64);
}
