//! The sites, in one process: away, refusing, breaking off, or giving what they are told to give.

use std::collections::BTreeMap;

use super::*;

/// What the site does when it is asked.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a mood of its own")]
pub(super) struct Mood {
    pub(super) is_away: bool,
    pub(super) refuses: bool,
    pub(super) records: Vec<FoundRecord>,
    pub(super) holds: Vec<HoldId>,
    pub(super) finds: u32,
    /// Files come, and keys.
    pub(super) gives: bool,
    pub(super) keys_asked: Vec<usize>,
    /// Files come for the vault, too.
    pub(super) copies: bool,
    /// Where the files of copies come to lie.
    pub(super) shelf: Option<Arc<dyn Shelf>>,
    /// The site that keeps guests is away.
    pub(super) keeper_is_away: bool,
    /// The files that it keeps.
    pub(super) guests: BTreeMap<u64, Guest>,
    /// What it answers to erasure orders, one after another.
    pub(super) erases: Vec<ErasedFootage>,
}

/// The sites, in one process.
#[derive(Clone, Default)]
pub(super) struct Village(pub(super) Arc<Mutex<Mood>>);

impl Village {
    pub(super) fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.0.lock().unwrap());
    }

    fn answer(&self, site: &SiteId) -> Result<(), FleetError> {
        let mood = self.0.lock().unwrap();
        if mood.is_away {
            return Err(FleetError::Away { site: site.clone() });
        }
        if mood.refuses {
            let why = "no such camera".to_owned();
            return Err(FleetError::Refused { site: site.clone(), why });
        }
        Ok(())
    }

    fn keeper(&self, site: &SiteId) -> Result<(), FleetError> {
        assert_eq!(site.as_str(), "hq");
        let is_away = self.0.lock().unwrap().keeper_is_away;
        if is_away { Err(FleetError::Away { site: site.clone() }) } else { Ok(()) }
    }
}

impl Sites for Village {
    async fn find(&self, camera: &CameraId, _span: Span) -> Result<Found, FleetError> {
        self.answer(camera.site())?;
        self.set(|mood| mood.finds += 1);
        let records = self.0.lock().unwrap().records.clone();
        Ok(Found { camera_known: true, records })
    }
    async fn place_hold(&self, hold: &HoldEntry) -> Result<Placed, FleetError> {
        self.answer(hold.camera.site())?;
        self.set(|mood| mood.holds.push(hold.id.clone()));
        Ok(Placed { segments: 11, open: false, erased: 0 })
    }
    async fn erase_footage(
        &self,
        _order: &OrderId,
        camera: &CameraId,
        _span: Span,
    ) -> Result<ErasedFootage, FleetError> {
        self.answer(camera.site())?;
        let mut mood = self.0.lock().unwrap();
        Ok(if mood.erases.is_empty() { ErasedFootage::Recording } else { mood.erases.remove(0) })
    }
    async fn release_hold(&self, site: &SiteId, hold: &HoldId) -> Result<(), FleetError> {
        self.answer(site)?;
        self.set(|mood| mood.holds.retain(|held| held != hold));
        Ok(())
    }
    async fn pull(
        &self,
        site: &SiteId,
        _wanted: &[WantedSegment],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), FleetError> {
        progress(5);
        let mood = self.0.lock().unwrap();
        if mood.gives && !mood.is_away {
            return Ok(());
        }
        drop(mood);
        Err(FleetError::Broken { site: site.clone(), why: "the line broke".to_owned() })
    }
    async fn copy(&self, site: &SiteId, wanted: &[WantedSegment]) -> Result<(), FleetError> {
        self.answer(site)?;
        let (shelf, copies) = {
            let mood = self.0.lock().unwrap();
            (mood.shelf.clone(), mood.copies)
        };
        let Some(shelf) = shelf.filter(|_| copies) else {
            let why = "the line broke".to_owned();
            return Err(FleetError::Broken { site: site.clone(), why });
        };
        for wanted in wanted {
            let name = vault::segment_name(&wanted.camera, wanted.seq, wanted.root);
            shelf.put(&name, &vec![7; usize::try_from(wanted.file_bytes).unwrap()]).unwrap();
        }
        Ok(())
    }
    async fn keep_guest(&self, site: &SiteId, wanted: &WantedSegment) -> Result<(), FleetError> {
        self.keeper(site)?;
        let guest = Guest {
            seq: wanted.seq,
            root_start: Guest::root_start(wanted.root),
            bytes: wanted.file_bytes,
            is_whole: true,
        };
        self.set(|mood| {
            mood.guests.insert(wanted.seq.0, guest);
        });
        Ok(())
    }
    async fn guests(&self, site: &SiteId, _camera: &CameraId) -> Result<Vec<Guest>, FleetError> {
        self.keeper(site)?;
        Ok(self.0.lock().unwrap().guests.values().copied().collect())
    }
    async fn drop_guests(
        &self,
        site: &SiteId,
        _camera: &CameraId,
        guests: &[Guest],
    ) -> Result<(), FleetError> {
        self.keeper(site)?;
        self.set(|mood| mood.guests.retain(|_, guest| !guests.contains(guest)));
        Ok(())
    }
    async fn bring_back(&self, site: &SiteId, wanted: &[WantedSegment]) -> Result<(), FleetError> {
        self.keeper(site)?;
        let mood = self.0.lock().unwrap();
        for wanted in wanted {
            assert!(mood.guests.contains_key(&wanted.seq.0), "it is asked for what it keeps");
            let name = vault::segment_name(&wanted.camera, wanted.seq, wanted.root);
            let bytes = vec![8; usize::try_from(wanted.file_bytes).unwrap()];
            mood.shelf.as_ref().unwrap().put(&name, &bytes).unwrap();
        }
        Ok(())
    }
    async fn release_keys(
        &self,
        _case: &CaseId,
        camera: &CameraId,
        seqs: &[Seq],
    ) -> Result<ReleasedKeys, FleetError> {
        if !self.0.lock().unwrap().gives {
            return Err(FleetError::Away { site: camera.site().clone() });
        }
        self.set(|mood| mood.keys_asked.push(seqs.len()));
        let keys = seqs.iter().map(|_| Key::new([3; 32])).collect();
        // Any signed record will do for its digest.
        Ok(ReleasedKeys { keys, transfer_records: vec![gap(asked().to).envelope] })
    }
}
