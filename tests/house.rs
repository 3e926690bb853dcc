//! The house against pretend devices behind real ptys, from outside its doors.

mod house {
    mod bus;
    mod cable;
    mod hands;
    mod hurry;
    mod jobs;
    mod pins;
    mod power;
    mod printer;
    mod printer_hands;
    mod restart;
    mod rules;
    mod start;
    mod stops;
}
