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

/// A timeline of 1,000 frames at frame 900.
fn long() -> Timeline {
    let mut timeline = Timeline::default();
    timeline.set_branches(vec![branch(0, 0, 1000)]);
    timeline.set_position(TimelinePosition {
        branch: 0,
        index: 900,
    });
    timeline
}

#[test]
fn zoom_halves_the_strip_and_keeps_the_playhead() {
    let mut timeline = long();
    assert_eq!(timeline.shown(), (0, 1000));
    timeline.zoom_to(1, 900);
    assert_eq!(timeline.shown(), (500, 1000));
    timeline.zoom_to(3, 100);
    // The playhead would be out of sight.
    assert_eq!(timeline.shown(), (838, 963));
    timeline.zoom_to(99, 900);
    assert_eq!(timeline.shown(), (892, 908));
    let mut short = Timeline::default();
    short.zoom_to(5, 0);
    assert_eq!(short.shown(), (0, 1));
}

#[test]
fn handles_move_the_range() {
    let mut timeline = long();
    timeline.range = Some((200, 400));
    let strip = Rect::from_min_size(pos2(0.0, 0.0), vec2(1008.0, 50.0));
    let (first, end) = timeline.shown();
    let scale = FrameScale { strip, first, end };
    let current = branch(0, 0, 1000);
    let drag = |timeline: &mut Timeline, from: usize, to: usize| {
        timeline.grabbed = None;
        timeline.drag(&scale, &current, scale.x(from));
        timeline.drag(&scale, &current, scale.x(to))
    };
    assert_eq!(drag(&mut timeline, 201, 300), None);
    assert_eq!(timeline.range, Some((300, 400)));
    assert_eq!(drag(&mut timeline, 399, 250), None);
    assert_eq!(timeline.range, Some((300, 300)));
    // Elsewhere it moves the playhead.
    let seek = drag(&mut timeline, 600, 610).unwrap();
    let place = TimelinePosition {
        branch: 0,
        index: 610,
    };
    assert_eq!(seek, TimelineAction::Command(TimelineCommand::Seek(place)));
    assert_eq!(timeline.range, Some((300, 300)));
    // A shorter branch has less of the range.
    assert_eq!(timeline.range_on(&branch(1, 3, 10)), Some((9, 9)));
}
