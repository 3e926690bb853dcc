//! Follow rules: what goes on and off after what, and what stands back.

use super::*;

/// The spindle turns, and the collector follows.
const GOES_ON: &[Step<'_>] =
    &[(0.0, &[("mill.spindle", "8000")], &[]), (1.0, &[], &["dust: relays.dust = on"])];
/// Nothing is wished for before the spindle has stopped and turns anew.
const ANEW: &[Step<'_>] = &[
    (60.0, &[], &[]),
    (1.0, &[("mill.spindle", "0")], &[]),
    (60.0, &[], &[]),
    (0.0, &[("mill.spindle", "8000")], &[]),
    (1.0, &[], &["dust: relays.dust = on"]),
];

#[test]
fn a_follow_rule_waits_before_it_goes_on_and_off() {
    let mut shop = Shop::quiet();
    play(
        &mut shop,
        &[
            (1.0, &[("mill.spindle", "8000")], &[]),
            (0.9, &[], &[]),
            (0.1, &[], &["dust: relays.dust = on"]),
            (60.0, &[("mill.spindle", "0")], &[]),
            (19.0, &[], &[]),
            // It turns again before the time is over: nothing happens.
            (0.5, &[("mill.spindle", "8000")], &[]),
            (30.0, &[("mill.spindle", "0")], &[]),
            (20.0, &[], &["dust: relays.dust = off"]),
        ],
    );
    // Out of sight it counts as standing still, after the same delay.
    play(
        &mut shop,
        &[
            (0.0, &[("mill.spindle", "8000")], &[]),
            (1.0, &[], &["dust: relays.dust = on"]),
            (1.0, &[("mill.spindle", "stale")], &[]),
            (20.0, &[], &["dust: relays.dust = off"]),
        ],
    );
}

#[test]
fn a_person_may_set_the_tag_of_an_optional_rule_until_its_condition_comes_anew() {
    let mut shop = Shop::quiet();
    play(&mut shop, GOES_ON);
    assert_eq!(shop.engine.set_aside("relays.dust"), [(0, true)]);
    assert_eq!(shop.engine.set_aside("relays.horn"), [(1, false)], "it was at rest");
    play(&mut shop, ANEW);
}

#[test]
fn what_was_about_to_go_on_does_not_while_its_board_is_held() {
    let mut shop = Shop::quiet();
    play(&mut shop, &[(0.0, &[("mill.spindle", "8000")], &[])]);
    assert_eq!(shop.engine.hold_back("relays.dust"), [0]);
    play(&mut shop, ANEW);
    assert!(shop.engine.hold_back("relays.dust").is_empty(), "what is on goes off in its time");
}

#[test]
fn a_tag_that_could_not_be_put_on_is_left_alone_until_the_condition_comes_anew() {
    let mut shop = Shop::quiet();
    play(&mut shop, GOES_ON);
    shop.engine.give_up(0);
    play(&mut shop, ANEW);
}
