//! Files: each is told of once, if its uploader may write, and is gone with its message.

use super::Evidence;
use super::people::{absences, muted};
use crate::record::Upload;

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for record in &evidence.records {
        for upload in &record.uploads {
            let found = is_told_once(evidence, &record.user, upload);
            violations.extend(found.map(|what| format!("17: {what}: {upload:?} of {}", record.user)));
        }
    }
    violations
}

fn is_told_once(evidence: &Evidence<'_>, user: &str, upload: &Upload) -> Option<String> {
    let Upload { room, file, uploaded, .. } = upload;
    let log = evidence.tables.logs.get(room);
    let standing = || log.into_iter().flatten().filter(|(_, entry)| entry.file.as_ref() == Some(file));
    let seqs: Vec<_> = standing().map(|(seq, _)| *seq).collect();
    let (status, seq) = evidence.tables.files.get(file).cloned().unwrap_or_default();
    if seqs.len() > 1 || uploaded.is_none() && !seqs.is_empty() {
        return Some(format!("it is at {seqs:?}"));
    }
    let is_ready = status == "ready";
    if is_ready != (seqs == [seq]) {
        return Some(format!("it is {status} for {seq}, and told of at {seqs:?}"));
    }
    let is_away = uploaded.is_some_and(|began| {
        let absences = absences(evidence, room, user);
        absences.iter().any(|absence| absence.has(began) && absence.1.is_none())
    });
    // Also if it was deleted since.
    if is_away && (is_ready || seq > 0) {
        return Some(format!("{user} had left {room} before, and it is told of at {seq}"));
    }
    if muted(evidence, room, user).iter().any(|mute| mute.covers(upload.span)) {
        return Some("its uploader was muted".to_owned());
    }
    let is_member = evidence.tables.is_member(room, user);
    if upload.is_there != (is_ready && is_member) {
        return Some(format!("it is {status}, its uploader is a member: {is_member}"));
    }
    None
}
