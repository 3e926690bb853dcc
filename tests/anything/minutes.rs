//! A file of points' minutes with anything in it.
//!
//! The bytes are read as they are and once more with their checksums made right, since a search
//! hardly finds one by chance; then cut off and with a bit flipped, in places that the bytes choose.
//! Promises: nothing panics; what was repaired once needs no repair; nothing is found behind damage.

use headstock_daemon::points::minutes::{read_anything, repaired};

/// Reads the bytes as a file of minutes.
pub fn minutes(bytes: &[u8]) {
    read_anything(bytes);
    let right = repaired(bytes);
    let (found, good) = read_anything(&right);
    assert_eq!(repaired(&right), right, "repaired twice");
    assert!(good <= right.len());
    let place = bytes.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let place = place % good.max(1);
    let (cut, length) = read_anything(&right[..place]);
    assert!(cut <= found && length <= place, "more in a part than in the whole");
    let mut flipped = right;
    flipped[place] ^= 1 << (place % 8);
    let (behind, length) = read_anything(&flipped);
    assert!(behind <= found && length <= place, "something was read behind a flipped bit");
}
