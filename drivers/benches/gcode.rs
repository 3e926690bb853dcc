//! How fast programs are read and analysed: lines per second on one core, as plain text.
//!
//! `cargo bench -p headstock-drivers --bench gcode [-- FILE.nc]…`; without a file, a program of
//! short segments like 3D surfacing is made up.

#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::time::Instant;

use headstock_drivers::gcode::{Analyzer, Limits, Reader, lines::Lines};

fn main() -> std::io::Result<()> {
    // Cargo adds options of its own, such as `--bench`.
    let files: Vec<_> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    if files.is_empty() {
        report("made up", surface().as_bytes());
    }
    for file in files {
        report(&file, &std::fs::read(&file)?);
    }
    Ok(())
}

fn report(name: &str, program: &[u8]) {
    let (mut lines, mut seconds) = (0, 0.0);
    let analysis = best_of_five(|| {
        let mut analyzer = Analyzer::new(Limits::default());
        analyzer.push(program);
        let (found, counted) = analyzer.finish();
        (lines, seconds) = (counted, found.time_s);
    });
    let reading = best_of_five(|| {
        let (mut reader, mut sent) = (Reader::new(79), 0);
        let mut cutter = Lines::default();
        cutter.push(program, |number, raw| {
            sent += u64::from(matches!(reader.read(number, raw), Ok(Some(_))));
        });
        assert!(sent <= lines);
    });
    let rate = |taken: f64| lines as f64 / taken;
    println!(
        "{name}: {lines} lines, analysed at {:.0} lines/s, read for sending at {:.0} lines/s, \
         estimated {seconds:.1} s, at constant feed {:.1} s",
        rate(analysis),
        rate(reading),
        seconds_without_inertia(program)
    );
}

/// What a machine would need that starts, stops and turns at once: distance by feed.
fn seconds_without_inertia(program: &[u8]) -> f64 {
    let light = Limits { acceleration: [1e12; 3], junction_deviation: 1e12, ..Limits::default() };
    let mut analyzer = Analyzer::new(light);
    analyzer.push(program);
    analyzer.finish().0.time_s
}

fn best_of_five(mut work: impl FnMut()) -> f64 {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| time(&mut work)).fold(f64::INFINITY, f64::min)
}

fn surface() -> String {
    let mut program =
        String::from("G21 G90 G17 G94\nG0 Z5.000\nM3 S12000\nG0 X0 Y0\nG1 Z0 F400\nF3000\n");
    for at in 0..100_000u32 {
        let (row, column) = (at / 600, f64::from(at % 600) / 10.0);
        let x = if row % 2 == 0 { column } else { 59.9 - column };
        let z = (x / 2.0).sin() + (f64::from(row) / 9.0).cos() - 2.0;
        program += &format!("G1 X{x:.3} Y{:.3} Z{z:.3}\n", f64::from(row) * 0.2);
    }
    program + "G0 Z5.000\nM5\nM30\n"
}
