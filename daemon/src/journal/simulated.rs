//! A disk that remembers what it was told and can lose power at any of its operations.
//!
//! What a power cut may leave, more than any file system is known to do:
//! * every 512-byte sector of a file as it was at any moment since the file's last sync, each
//!   independently of the others, and torn in the middle between two such moments;
//! * the size as it was at any such moment; where it grew without its data, zeros or garbage;
//! * every name created, changed or removed since the folder's last sync: done or not, each
//!   independently of the others; a rename may have left both names.
//!
//! A killed process instead loses nothing, but what was not synced stays exposed to the next cut.
//! The disk can also be full, fail a sync, or take its time over one.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::journal::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// Cheap to clone: all clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Simulated {
    state: Arc<Mutex<State>>,
    stall: Arc<(Mutex<Stall>, Condvar)>,
}

/// Syncs that take their time.
#[derive(Debug, Default)]
struct Stall {
    on: bool,
    waiting: usize,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    /// Operations until the power fails, if it does.
    fuse: Option<u32>,
    operations: u32,
    capacity: Option<usize>,
    fail_syncs: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Renamed(String, String, usize),
    Removed(String),
}

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    now: Vec<u8>,
    /// Sizes since the last sync.
    sizes: Vec<usize>,
    /// What sectors held since the last sync, oldest first, beginning with the durable content.
    sectors: BTreeMap<usize, Vec<[u8; SECTOR]>>,
}

/// Numbers that look random and are the same every time (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((it ^ (it >> 31)) % below.max(1) as u64) as usize
    }
}

impl Simulated {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The power fails at the operation that comes after `operations` more.
    pub(super) fn cut_after(&self, operations: u32) {
        self.state().fuse = Some(operations);
    }

    pub(super) fn operations(&self) -> u32 {
        self.state().operations
    }

    pub(crate) fn set_capacity(&self, bytes: usize) {
        self.state().capacity = Some(bytes);
    }

    /// From now on a sync takes until this is called with `false`.
    pub(crate) fn stall(&self, on: bool) {
        self.stall.0.lock().unwrap().on = on;
        self.stall.1.notify_all();
    }

    /// Whether somebody waits for a sync that takes its time.
    pub(crate) fn stalls(&self) -> bool {
        0 < self.stall.0.lock().unwrap().waiting
    }

    fn take_time(&self) {
        let mut stall = self.stall.0.lock().unwrap();
        stall.waiting += 1;
        stall = self.stall.1.wait_while(stall, |stall| stall.on).unwrap();
        stall.waiting -= 1;
    }

    pub(super) fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// Changes a byte behind everyone's back.
    pub(super) fn flip(&self, name: &str, at: usize, bits: u8) {
        let mut state = self.state();
        let index = state.names[name];
        state.files[index].now[at] ^= bits;
        state.files[index].durable[at] ^= bits;
    }

    /// The disk as a killed process leaves it: a copy, nothing lost, nothing synced.
    pub(super) fn killed(&self) -> Self {
        let state = State { fuse: None, ..self.state().clone() };
        Self { state: Arc::new(Mutex::new(state)), ..Self::default() }
    }

    /// One of the disks that a power cut at this moment may leave.
    pub(super) fn after_cut(&self, dice: &mut Dice) -> Self {
        let old = self.state();
        let files: Vec<Content> = old.files.iter().map(|it| it.after_cut(dice)).collect();
        let mut names = old.durable_names.clone();
        for change in &old.pending_names {
            change.perhaps(&mut names, dice);
        }
        let state = State { files, durable_names: names.clone(), names, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), ..Self::default() }
    }

    /// Tells this disk from others.
    pub(super) fn fingerprint(&self) -> u64 {
        let (state, mut hasher) = (self.state(), DefaultHasher::new());
        for (name, file) in &state.names {
            (name, &state.files[*file].now).hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl NameChange {
    fn perhaps(&self, names: &mut BTreeMap<String, usize>, dice: &mut Dice) {
        if dice.roll(2) == 0 {
            return;
        }
        match self {
            Self::Set(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Removed(name) => drop(names.remove(name)),
            Self::Renamed(from, to, file) => {
                names.insert(to.clone(), *file);
                if dice.roll(4) > 0 {
                    names.remove(from);
                }
            }
        }
    }
}

impl Content {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        let touched = at / SECTOR..end.div_ceil(SECTOR);
        for sector in touched.clone() {
            let before = self.sector(sector);
            self.sectors.entry(sector).or_insert_with(|| vec![before]);
        }
        if end > self.now.len() {
            if self.sizes.is_empty() {
                self.sizes.push(self.now.len());
            }
            self.now.resize(end, 0);
            self.sizes.push(end);
        }
        self.now[at..end].copy_from_slice(bytes);
        for sector in touched {
            let after = self.sector(sector);
            self.sectors.get_mut(&sector).unwrap().push(after);
        }
    }

    fn sector(&self, sector: usize) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        let held = self.now.get(sector * SECTOR..).unwrap_or_default();
        let held = &held[..held.len().min(SECTOR)];
        bytes[..held.len()].copy_from_slice(held);
        bytes
    }

    fn after_cut(&self, dice: &mut Dice) -> Self {
        let size = match self.sizes.len() {
            0 => self.durable.len(),
            count => self.sizes[dice.roll(count)],
        };
        let mut bytes = self.durable.clone();
        let filler = if dice.roll(2) == 0 { 0 } else { dice.roll(256) as u8 };
        bytes.resize(size.max(bytes.len()), filler);
        // Cuts are of several tempers: most keep or lose nearly everything, some mix.
        let temper = dice.roll(4);
        for (sector, versions) in &self.sectors {
            let chosen = match temper {
                0 => versions.len() - 1,
                1 if dice.roll(8) > 0 => versions.len() - 1,
                2 if dice.roll(8) > 0 => 0,
                _ => dice.roll(versions.len()),
            };
            let mut content = versions[chosen];
            if dice.roll(8) == 0 {
                let (other, split) = (&versions[dice.roll(versions.len())], dice.roll(SECTOR));
                content[split..].copy_from_slice(&other[split..]);
            }
            let start = sector * SECTOR;
            if let Some(room) = bytes.get_mut(start..).filter(|it| !it.is_empty()) {
                let length = room.len().min(SECTOR);
                room[..length].copy_from_slice(&content[..length]);
            }
        }
        Self { now: bytes.clone(), durable: bytes, ..Self::default() }
    }
}

impl State {
    /// Counts an operation. What is done at the moment of the cut may still reach the disk.
    fn operate(&mut self, act: impl FnOnce(&mut Self)) -> io::Result<()> {
        self.operations += 1;
        match &mut self.fuse {
            None => act(self),
            Some(0) => {
                self.fuse = Some(u32::MAX);
                act(self);
                return Err(io::Error::other("the power has failed"));
            }
            Some(u32::MAX) => return Err(io::Error::other("the power has failed")),
            Some(left) => {
                *left -= 1;
                act(self);
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> usize {
        self.names.values().map(|it| self.files[*it].now.len()).sum()
    }
}

impl Disk for Simulated {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let state = self.state();
        Ok(state.files[state.find(name)?].now.len() as u64)
    }

    fn read(&self, name: &str, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let state = self.state();
        let bytes = &state.files[state.find(name)?].now;
        let from = bytes.len().min(from as usize);
        Ok(bytes[from..bytes.len().min(from + length)].to_vec())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.find(name).is_err() {
            state.operate(|state| {
                let file = state.files.len();
                state.files.push(Content::default());
                state.names.insert(name.to_owned(), file);
                state.pending_names.push(NameChange::Set(name.to_owned(), file));
            })?;
        }
        let file = state.find(name)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.find(from)?;
        state.operate(|state| {
            state.names.remove(from);
            state.names.insert(to.to_owned(), file);
            let change = NameChange::Renamed(from.to_owned(), to.to_owned(), file);
            state.pending_names.push(change);
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.find(name)?;
        state.operate(|state| {
            state.names.remove(name);
            state.pending_names.push(NameChange::Removed(name.to_owned()));
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.fuse == Some(0) {
            // Cut off before the sync has done anything: the worst case.
            return state.operate(|_| ());
        }
        state.operate(|state| {
            state.durable_names = state.names.clone();
            state.pending_names.clear();
        })
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: Simulated,
    file: usize,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let (at, held) = (at as usize, state.files[self.file].now.len());
        let grows = (at + bytes.len()).saturating_sub(held);
        if state.capacity.is_some_and(|it| grows > 0 && state.used() + grows > it) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.operate(|state| state.files[self.file].write(at, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.take_time();
        let mut state = self.disk.state();
        if state.fail_syncs {
            return Err(io::Error::other("the medium has failed"));
        }
        if state.fuse == Some(0) {
            return state.operate(|_| ());
        }
        state.operate(|state| {
            let file = &mut state.files[self.file];
            *file =
                Content { durable: file.now.clone(), now: file.now.clone(), ..Content::default() };
        })
    }
}
