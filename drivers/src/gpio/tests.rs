//! Tags to lines and back.

use headstock_config::load;
use headstock_config::point::{Quality, Value};
use proptest::prelude::*;

use super::*;

fn machines(tags: &str) -> Vec<Machine> {
    let text = format!("[[machine]]\nid = \"pins\"\ndriver = \"gpio\"\nport = \"cdev\"\n{tags}");
    load::parse(&text, "t.toml", &["gpio"]).unwrap().machines
}

fn tag(name: &str, rest: &str) -> String {
    format!("[[machine.tag]]\nname = \"{name}\"\n{rest}\n")
}

fn workshop() -> Vec<Machine> {
    machines(
        &[
            tag("door", "pin = \"!^gpiochip0/17\"\nrole = \"door\""),
            tag("red", "pin = \"!gpiochip0/22\"\nmode = \"out\"\nsafe = false"),
            tag("fan", "pin = \"gpiochip0/18\"\nmode = \"pwm\"\nsafe = 0.2\nperiod_ms = 5000"),
            tag("flow", "pin = \"gpiochip0/4\"\nmode = \"count\"\nscale = 0.5\nunit = \"l\""),
        ]
        .concat(),
    )
}

fn place(tag: usize) -> Place {
    Place { machine: 0, tag }
}

#[test]
fn tags_of_one_period_are_looked_at_together() {
    let polls = Gpio::new(&workshop()).polls();
    let looks: Vec<_> = polls.iter().map(|it| (it.period.as_millis(), &it.request)).collect();
    let (often, seldom) =
        (Request::Look(vec![place(0), place(1), place(3)]), Request::Look(vec![place(2)]));
    assert_eq!(looks, [(1_000, &often), (5_000, &seldom)]);
}

#[test]
fn an_output_that_is_inverted_is_high_while_it_is_safe() {
    let uses = uses(&workshop());
    assert_eq!((uses[1].safe, uses[1].level(false)), (0.0, true));
    assert_eq!(uses[2].safe, 0.2);
}

#[test]
fn what_can_be_written_is_and_the_rest_is_refused() {
    let gpio = Gpio::new(&workshop());
    let on = gpio.write(place(1), &Value::Flag(true)).unwrap();
    assert_eq!(on.requests, [Request::Set(place(1), 1.0)]);
    assert_eq!((on.verify, on.expected), (Some(Request::Look(vec![place(1)])), Value::Flag(true)));
    let half = gpio.write(place(2), &Value::Number(0.5)).unwrap();
    assert_eq!(
        (&half.requests[..], half.expected),
        (&[Request::Set(place(2), 0.5)][..], Value::Number(0.5))
    );
    for (tag, value) in [
        (0, Value::Flag(true)),
        (1, Value::Number(0.5)),
        (1, Value::Text("up".into())),
        (2, Value::Number(1.5)),
        (2, Value::Number(f64::NAN)),
        (9, Value::Flag(true)),
    ] {
        assert!(gpio.write(place(tag), &value).is_err(), "{tag} {value}");
    }
}

#[test]
fn a_pulse_is_written_as_a_text() {
    let gpio = Gpio::new(&workshop());
    let pulse = |tag, text: &str| gpio.write(place(tag), &Value::Text(text.into()));
    for (text, ms) in [("pulse 250ms", 250), ("pulse 2 s", 2_000), (" pulse 0.5s", 500)] {
        let write = pulse(1, text).unwrap();
        assert_eq!(write.requests, [Request::Pulse(place(1), Duration::from_millis(ms))]);
        assert!(!write.repeatable && write.verify.is_none());
    }
    for text in ["pulse", "pulse 0ms", "pulse 61s", "pulse -1s", "pulse nans", "pulse 1e99s"] {
        assert!(pulse(1, text).is_err(), "{text}");
    }
    assert!(pulse(2, "pulse 1s").is_err() && pulse(0, "pulse 1s").is_err());
}

#[test]
fn an_edge_of_an_inverted_line_says_what_the_tag_says() {
    let mut board = Board::new(&workshop());
    board.opened(&[true; 4]);
    let (now, mut out) = (Instant::now(), Vec::new());
    assert_eq!(board.look(0, true, now), Seen::good(0.0));
    let edge = Edge { line: 0, rising: false, at: now, number: Some(1) };
    assert!(!board.edge(edge, &mut out));
    let told = Reading {
        place: place(0),
        value: Some(Value::Flag(true)),
        quality: Quality::Good,
        at: now,
        why: None,
    };
    assert_eq!(out, [told]);
    assert!(
        board.edge(Edge { number: Some(4), rising: true, ..edge }, &mut out),
        "2 and 3 are lost"
    );
    assert_eq!(board.lost(), 2);
}

#[test]
fn pulses_are_told_when_they_are_asked_for() {
    let machines = workshop();
    let mut board = Board::new(&machines);
    board.opened(&[true; 4]);
    let (now, mut out) = (Instant::now(), Vec::new());
    for number in 1..=7 {
        board.edge(Edge { line: 3, rising: true, at: now, number: Some(number) }, &mut out);
    }
    assert!(out.is_empty());
    let seen = board.look(3, false, now);
    let told = Gpio::new(&machines).told(place(3), now, &seen).unwrap();
    assert_eq!(told.value, Some(Value::Number(3.5)));
}

proptest! {
    /// Whatever edges come, in whatever order and number: nothing panics, and what is told is
    /// about a pin that there is.
    #[test]
    fn any_edges_are_borne(edges in prop::collection::vec((0_usize..6, any::<bool>(), 0_u64..3_000_000, any::<Option<u32>>()), 0..300)) {
        let mut board = Board::new(&workshop());
        board.opened(&[false, true, true, false]);
        let begun = Instant::now();
        let mut out = Vec::new();
        for (line, rising, micros, number) in edges {
            let at = begun + Duration::from_micros(micros);
            if board.edge(Edge { line, rising, at, number }, &mut out) {
                board.look(line, rising, at);
            }
            board.tick(at, &mut out);
        }
        for line in 0..6 {
            let seen = board.look(line, true, begun + Duration::from_secs(9));
            prop_assert!(seen.raw.is_none_or(f64::is_finite));
        }
        for told in out {
            prop_assert!(told.place.tag < 4);
            prop_assert!(told.value.is_some() != (told.quality == Quality::Bad));
        }
    }
}
