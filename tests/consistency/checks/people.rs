//! Memberships, bans, roles, invitations and blocks: what is certain at a time, and what was granted or refused then.

use super::Evidence;
use crate::record::{Act, Moment, Outcome, Request, Span, What};

/// From an answer until something else may have changed it: for ever, if nothing does.
#[derive(Clone, Copy, Debug)]
pub struct Interval(pub Moment, pub Option<Moment>);

impl Interval {
    pub fn has(&self, moment: Moment) -> bool {
        self.0 <= moment && self.1.is_none_or(|until| moment < until)
    }

    pub fn covers(&self, span: Span) -> bool {
        self.has(span.began) && self.has(span.ended)
    }
}

/// How long the effect of a request is certain, given the contrary ones. Nothing if one of them was under way at once.
pub fn lasts<'a>(span: Span, contrary: impl Iterator<Item = (Span, &'a Outcome)>) -> Option<(Moment, Option<Moment>)> {
    let mut until: Option<Moment> = None;
    for (other, outcome) in contrary {
        if matches!(outcome, Outcome::Refused(_)) || other.is_over_before(span.began) {
            continue;
        }
        if other.began <= span.ended {
            return None;
        }
        until = Some(until.map_or(other.began, |until| until.min(other.began)));
    }
    Some((span.ended, until))
}

/// When the `acts` of a user's subject are certain to hold.
struct Register<'a> {
    acts: Vec<&'a Act>,
    contrary: Vec<&'a Act>,
    /// Whether it holds in the beginning.
    holds_at_first: bool,
}

impl<'a> Register<'a> {
    fn intervals(&self) -> Vec<Interval> {
        let spans = self.acts.iter().filter(|act| act.outcome.is_done()).map(|act| act.span);
        let at_first = self.holds_at_first.then(Span::default);
        let contrary = || self.contrary.iter().map(|act| (act.span, &act.outcome));
        let lasting = spans.chain(at_first).filter_map(|span| lasts(span, contrary()));
        lasting.map(|(from, until)| Interval(from, until)).collect()
    }

    fn of(
        evidence: &Evidence<'a>,
        subject: (&str, &str),
        acts: &[What],
        contrary: &[What],
        holds_at_first: bool,
    ) -> Self {
        let (room, user) = subject;
        let of = |whats: &[What]| {
            let is_of = |act: &&Act| act.room == room && act.subject == user && whats.contains(&act.what);
            evidence.acts().filter(is_of).collect()
        };
        Self { acts: of(acts), contrary: of(contrary), holds_at_first }
    }
}

const ENDS: [What; 3] = [What::Leave, What::Remove, What::Ban];

/// When a user was certainly not a member.
pub fn absences(evidence: &Evidence<'_>, room: &str, user: &str) -> Vec<Interval> {
    Register::of(evidence, (room, user), &ENDS, &[What::Join], true).intervals()
}

/// When a user was certainly a member.
pub fn presences(evidence: &Evidence<'_>, room: &str, user: &str) -> Vec<Interval> {
    Register::of(evidence, (room, user), &[What::Join], &ENDS, false).intervals()
}

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut rooms: Vec<_> = evidence.acts().map(|act| act.room.as_str()).filter(|room| !room.is_empty()).collect();
    rooms.sort_unstable();
    rooms.dedup();
    for record in &evidence.records {
        for room in &rooms {
            let requests: Vec<_> = record.requests.iter().filter(|request| request.room == *room).collect();
            violations.extend(members_only(evidence, (room, &record.user), &requests));
            violations.extend(bans_hold(evidence, (room, &record.user), &requests));
            violations.extend(admins_only(evidence, (room, &record.user), &requests));
        }
    }
    violations.extend(blocks_hold(evidence));
    violations
}

/// Requests that need a membership are granted to members only, and to all of them.
fn members_only(evidence: &Evidence<'_>, (room, user): (&str, &str), requests: &[&Request]) -> Vec<String> {
    let absences = absences(evidence, room, user);
    let presences = presences(evidence, room, user);
    let invited = Register::of(evidence, (room, user), &[What::Decline, What::Join], &[What::Invite], true);
    let uninvited = invited.intervals();
    let is_private = evidence.acts().any(|act| act.room == room && act.what == What::Invite);
    let covers = |intervals: &[Interval], span: Span| intervals.iter().any(|interval| interval.covers(span));
    let mut violations = Vec::new();
    for request in requests {
        let is_absent = covers(&absences, request.span);
        let is_open = ["leaveRoom", "declineInvite", "joinRoom"].contains(&request.action.as_str());
        if request.outcome.is_done() && is_absent && !is_open {
            violations.push(format!("5: {user} is no member and was granted {request:?}"));
        }
        if request.outcome.is_refused("NOT_A_MEMBER") && covers(&presences, request.span) && !is_open {
            violations.push(format!("5: {user} is a member and was refused {request:?}"));
        }
        let is_join = request.action == "joinRoom";
        if is_join && is_private && request.outcome.is_done() && is_absent && covers(&uninvited, request.span) {
            violations.push(format!("5: {user} is not invited and has joined: {request:?}"));
        }
    }
    let is_member = evidence.tables.is_member(room, user);
    if is_member && absences.iter().any(|absence| absence.1.is_none()) {
        violations.push(format!("5: {user} is in {room} after the end of the membership was answered"));
    }
    if !is_member && presences.iter().any(|presence| presence.1.is_none()) {
        violations.push(format!("5: {user} is not in {room} after the join was answered"));
    }
    violations
}

/// The banned do not join, and nobody else is refused as banned.
fn bans_hold(evidence: &Evidence<'_>, (room, user): (&str, &str), requests: &[&Request]) -> Vec<String> {
    let banned = Register::of(evidence, (room, user), &[What::Ban], &[What::Unban], false).intervals();
    let free = Register::of(evidence, (room, user), &[What::Unban], &[What::Ban], true).intervals();
    let mut violations = Vec::new();
    for request in requests {
        let is_join = request.action == "joinRoom" && request.outcome.is_done();
        if is_join && banned.iter().any(|ban| ban.covers(request.span)) {
            violations.push(format!("5: {user} is banned and has joined: {request:?}"));
        }
        if request.outcome.is_refused("BANNED") && free.iter().any(|free| free.covers(request.span)) {
            violations.push(format!("5: {user} is not banned and was refused {request:?}"));
        }
    }
    // The release of before keeps bans elsewhere.
    let (is_banned, is_mixed) = (evidence.tables.is_banned(room, user), evidence.is_mixed);
    if !is_mixed && !is_banned && banned.iter().any(|ban| ban.1.is_none()) {
        violations.push(format!("5: {user} is not banned from {room} after the ban was answered"));
    }
    if is_banned && free.iter().any(|free| free.1.is_none()) {
        violations.push(format!("5: {user} is banned from {room} after that was lifted"));
    }
    violations
}

const LOSES_RANK: [What; 4] = [What::Demote, What::Leave, What::Remove, What::Ban];

/// When a user was certainly neither an owner nor an admin.
pub fn no_admin(evidence: &Evidence<'_>, room: &str, user: &str) -> Vec<Interval> {
    Register::of(evidence, (room, user), &LOSES_RANK, &[What::Promote], true).intervals()
}

/// When a user certainly was an owner or an admin.
pub fn admin(evidence: &Evidence<'_>, room: &str, user: &str) -> Vec<Interval> {
    Register::of(evidence, (room, user), &[What::Promote], &LOSES_RANK, false).intervals()
}

/// When a user was certainly muted.
pub fn muted(evidence: &Evidence<'_>, room: &str, user: &str) -> Vec<Interval> {
    Register::of(evidence, (room, user), &[What::Mute], &[What::Unmute], false).intervals()
}

/// When a user was certainly not muted.
pub fn not_muted(evidence: &Evidence<'_>, room: &str, user: &str) -> Vec<Interval> {
    Register::of(evidence, (room, user), &[What::Unmute], &[What::Mute], true).intervals()
}

/// Whether a user had certainly blocked another one, or certainly not, for all of a time.
pub fn has_blocked(evidence: &Evidence<'_>, (by, of): (&str, &str), is_blocked: bool, span: Span) -> bool {
    let is_of = |what: What| move |act: &&Act| act.what == what && act.actor == by && act.subject == of;
    let (acts, contrary) = if is_blocked { (What::Block, What::Unblock) } else { (What::Unblock, What::Block) };
    let acts = evidence.acts().filter(is_of(acts)).collect();
    let contrary = evidence.acts().filter(is_of(contrary)).collect();
    let register = Register { acts, contrary, holds_at_first: !is_blocked };
    register.intervals().iter().any(|interval| interval.covers(span))
}

/// What is for admins is granted to admins only, and to all of them.
fn admins_only(evidence: &Evidence<'_>, (room, user): (&str, &str), requests: &[&Request]) -> Vec<String> {
    const FOR_ADMINS: [&str; 11] = [
        "removeMember",
        "banMember",
        "unbanMember",
        "muteMember",
        "unmuteMember",
        "setRole",
        "setRoomMode",
        "renameRoom",
        "addMembers",
        "pinMessage",
        "unpinMessage",
    ];
    let (never, always) = (no_admin(evidence, room, user), admin(evidence, room, user));
    let mut violations = Vec::new();
    for request in requests.iter().filter(|request| FOR_ADMINS.contains(&request.action.as_str())) {
        if request.outcome.is_done() && never.iter().any(|interval| interval.covers(request.span)) {
            violations.push(format!("5: {user} is no admin and was granted {request:?}"));
        }
        let is_pin = request.action.ends_with("pinMessage");
        if is_pin && request.outcome.is_refused("FORBIDDEN") && always.iter().any(|one| one.covers(request.span)) {
            violations.push(format!("5: {user} is an admin and was refused {request:?}"));
        }
    }
    violations
}

/// Direct messages of the blocked are refused, and nothing of them is kept; those of others are not.
fn blocks_hold(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for record in &evidence.records {
        for sent in &record.sent {
            let Some(peer) = &sent.peer else { continue };
            let user = &record.user;
            let blocks = |by: &str, of: &str, is_so: bool| has_blocked(evidence, (by, of), is_so, sent.span);
            let is_blocked = blocks(user, peer, true) || blocks(peer, user, true);
            if is_blocked && sent.outcome.is_done() {
                violations.push(format!("12: {user} and {peer} are blocked, and this was granted: {sent:?}"));
            }
            let is_kept = || {
                let mut entries = evidence.tables.logs.values().flatten();
                entries.any(|(_, entry)| entry.client_id.as_deref() == Some(&sent.id))
            };
            if is_blocked && is_kept() {
                violations.push(format!("12: {user} and {peer} are blocked, and this was kept: {sent:?}"));
            }
            let is_free = blocks(user, peer, false) && blocks(peer, user, false);
            if is_free && sent.outcome.is_refused("BLOCKED") {
                violations.push(format!("12: {user} and {peer} are not blocked, and this was refused: {sent:?}"));
            }
        }
    }
    violations
}
