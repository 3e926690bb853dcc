//! Stops among requests that are waited for. Devices here have so much time for an answer that
//! whatever waits for them does not come to an end in a test.

use std::pin::pin;

use super::*;

const PATIENCE: Duration = Duration::from_secs(15);

/// As [`bus`], and every device has twenty seconds for an answer.
fn patient_bus(way: Way) -> (Wire, Sim) {
    let (mut wire, sim) = bus(way);
    wire.machines.iter_mut().for_each(|it| it.bus.timeout_ms = 20_000);
    (wire, sim)
}

fn stop(address: u16) -> Ask {
    Ask::WriteRegister { address, value: 0 }
}

async fn hurry(wire: &mut Wire, haste: Haste, unit: u8, pdu: Ask) -> Result<Answer, Fault> {
    let request = Request { unit, pdu };
    let asking =
        Carrier::<Modbus>::perform(wire, usize::from(unit) - 1, &request, Errand::of(haste));
    tokio::time::timeout(PATIENCE, asking).await.expect("it waits for nobody")
}

/// Asks, and calls the request back when a line with `mark` is in the evidence; without one when it has
/// been begun.
async fn called_back(
    wire: &mut Wire,
    unit: u8,
    pdu: Ask,
    mark: Option<&str>,
) -> Result<Answer, Fault> {
    let (evidence, request) = (wire.evidence(), Request { unit, pdu });
    let before = evidence.text().len();
    let seen = |mark: &str| evidence.text().get(before..).is_some_and(|new| new.contains(mark));
    let mut recall = pin!(async {
        tokio::task::yield_now().await;
        while mark.is_some_and(|mark| !seen(mark)) {
            tokio::task::yield_now().await;
        }
    });
    let errand = Errand { recall: Some(recall.as_mut()), ..Errand::default() };
    let asking = Carrier::<Modbus>::perform(wire, usize::from(unit) - 1, &request, errand);
    tokio::time::timeout(PATIENCE, asking).await.expect("it gives way")
}

#[tokio::test]
async fn a_stop_waits_for_no_device_that_keeps_silent() {
    for way in WAYS {
        let (mut wire, sim) = patient_bus(way);
        assert_eq!(ask(&mut wire, 1, holding(100, 1)).await, words(1, 100, 1));
        sim.fault(Mishap::new(What::Dead).of(1));
        let gave_way = called_back(&mut wire, 1, holding(110, 2), Some("> ")).await;
        assert_eq!(gave_way, Err(Fault::GaveWay { sent: true }), "{way:?}");
        assert_eq!(hurry(&mut wire, Haste::Stops, 2, stop(105)).await, Ok(Answer::Done), "{way:?}");
        assert_eq!(sim.peek(2, Area::Holding, 105), Some(0));
        let confirmed = hurry(&mut wire, Haste::Confirms, 2, holding(105, 1)).await;
        assert_eq!(confirmed, Ok(Answer::Words(vec![0])), "{way:?}");
        assert!(wire.owed_until(2, Haste::Turn).is_some(), "the others still wait for it: {way:?}");
        assert_eq!(wire.owed_until(2, Haste::Confirms), None);
        if way != Way::Tcp {
            // What waits for the line gives way before it is sent.
            let waits = called_back(&mut wire, 2, holding(100, 1), None).await;
            assert_eq!(waits, Err(Fault::GaveWay { sent: false }), "{way:?}");
        }
        let text = wire.evidence().text();
        assert!(text.contains("= it gave way to a stop"), "{text}");
    }
}

#[tokio::test]
async fn a_stop_goes_into_the_connection_that_is_there() {
    let (mut wire, sim) = patient_bus(Way::Tcp);
    let port = |wire: &Wire| match &wire.open.as_ref().unwrap().port {
        Port::Stream(stream) => stream.local_addr().unwrap().port(),
        Port::Serial(_) => 0,
    };
    assert_eq!(ask(&mut wire, 1, holding(100, 1)).await, words(1, 100, 1));
    let before = port(&wire);
    sim.fault(Mishap::new(What::Late).of(1));
    called_back(&mut wire, 1, holding(110, 2), Some("> ")).await.unwrap_err();
    for address in 105..125 {
        let done = hurry(&mut wire, Haste::Stops, 2, stop(address)).await;
        assert_eq!(done, Ok(Answer::Done));
    }
    assert_eq!(port(&wire), before);
    sim.mend();
    assert_eq!(ask(&mut wire, 1, holding(100, 2)).await, words(1, 100, 2));
    assert_ne!(port(&wire), before, "reads go into a new one while anything is owed");
}

#[tokio::test]
async fn an_answer_that_has_begun_is_let_in() {
    for way in WAYS {
        let (mut wire, _sim) = patient_bus(way);
        let came = called_back(&mut wire, 1, holding(100, 40), Some("< ")).await;
        assert_eq!(came, words(1, 100, 40), "{way:?}");
    }
}

#[tokio::test]
async fn a_stop_that_runs_into_a_late_answer_is_sent_again_and_no_value_is_swapped() {
    for way in WAYS {
        let (mut wire, sim) = bus(way);
        for round in 0..4 {
            sim.fault(Mishap::new(What::Late).of(1));
            called_back(&mut wire, 1, holding(110, 2), Some("> ")).await.unwrap_err();
            sim.mend();
            // To the device that is about to answer, and to the other one.
            let unit = 1 + round % 2;
            let done = loop {
                match hurry(&mut wire, Haste::Stops, unit, stop(105)).await {
                    Err(Fault::Garbled(_) | Fault::Silence(_)) => (),
                    done => break done,
                }
            };
            assert_eq!(done, Ok(Answer::Done), "{way:?}");
            assert_eq!(sim.peek(unit, Area::Holding, 105), Some(0));
            let confirmed = loop {
                match hurry(&mut wire, Haste::Confirms, unit, holding(105, 2)).await {
                    Err(Fault::Garbled(_) | Fault::Silence(_)) => (),
                    confirmed => break confirmed,
                }
            };
            let next = u16::from(unit) << 8 | 106;
            assert_eq!(confirmed, Ok(Answer::Words(vec![0, next])), "{way:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_an_earlier_request_could_have_had_does_not_make_a_stop_sent() {
    let mut machines = shop();
    machines.iter_mut().for_each(|it| it.bus.timeout_ms = 20_000);
    let sim = sim::serial(&machines, options()).unwrap();
    machines.iter_mut().for_each(|it| it.port = sim.port().clone());
    let mut wire = Wire::new(&machines);
    let control = |what| Ask::Raw { function: 3, data: vec![1, what] };
    sim.fault(Mishap::new(What::Silence).of(1));
    called_back(&mut wire, 1, control(1), Some("> ")).await.unwrap_err();
    sim.mend();
    let doubtful = hurry(&mut wire, Haste::Stops, 1, control(8)).await;
    assert!(matches!(doubtful, Err(Fault::Garbled(_))), "it may be to the command to run");
    let sure = hurry(&mut wire, Haste::Stops, 1, control(8)).await;
    assert!(matches!(sure, Ok(Answer::Bytes(_))), "{sure:?}");
    assert_eq!(sim.peek(1, Area::Holding, 0x0300), Some(8));
}

#[tokio::test]
async fn what_may_not_be_sent_when_its_turn_comes_is_not() {
    for way in WAYS {
        let (mut wire, sim) = patient_bus(way);
        let request = Request { unit: 1, pdu: stop(105) };
        let errand = Errand { may: Some(&|| false), ..Errand::default() };
        let outcome = Carrier::<Modbus>::perform(&mut wire, 0, &request, errand).await;
        assert_eq!(outcome, Err(Fault::Forbidden));
        assert!(!Carrier::<Modbus>::sent(&wire) && !wire.evidence().text().contains('>'));
        assert_eq!(sim.peek(1, Area::Holding, 105), Some(0x0100 | 105));
        assert_eq!(ask(&mut wire, 1, holding(105, 1)).await, words(1, 105, 1));
    }
}
