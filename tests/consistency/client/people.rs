//! Joining and leaving, moderation, invitations and blocks.

use serde_json::json;

use super::Client;
use crate::record::What;

impl Client {
    pub async fn joins(&mut self, room: &str) {
        let asked = self.asks(room, json!({ "action": "joinRoom", "roomId": room }), "room").await;
        if let Some(answer) = asked.success() {
            self.joined.insert(room.to_owned());
            let last_seq = answer["lastSeq"].clone();
            self.notes_last_seq(room, &asked, &last_seq);
        }
        let user = self.record.user.clone();
        self.notes(What::Join, room, &user, &asked);
    }

    pub async fn leaves(&mut self, room: &str) {
        self.joined.remove(room);
        let asked = self.asks(room, json!({ "action": "leaveRoom", "roomId": room }), "ack").await;
        let user = self.record.user.clone();
        self.notes(What::Leave, room, &user, &asked);
    }

    pub async fn declines(&mut self, room: &str) {
        let asked = self.asks(room, json!({ "action": "declineInvite", "roomId": room }), "ack").await;
        let user = self.record.user.clone();
        self.notes(What::Decline, room, &user, &asked);
    }

    /// Whatever a moderator does, tried by everybody.
    pub async fn moderates(&mut self, room: &str) {
        let subject = format!("user-{}", self.rng.usize(1..self.place.users.min(8)));
        if subject == self.record.user {
            return;
        }
        let is_private = room == self.place.private_room;
        let what = match self.rng.u32(..if is_private { 20 } else { 12 }) {
            // The release of before keeps bans elsewhere, and does not know those of this one.
            0..8 if self.place.is_mixed => What::Remove,
            0..3 => What::Remove,
            3..5 => What::Ban,
            5..8 => What::Unban,
            8..11 => What::Promote,
            11 => What::Demote,
            _ => What::Invite,
        };
        let mut frame = json!({ "roomId": room, "userId": subject });
        let (action, wanted) = match what {
            What::Remove => ("removeMember", "ack"),
            What::Ban => ("banMember", "ack"),
            What::Unban => ("unbanMember", "ack"),
            What::Invite => ("addMembers", "added"),
            _ => ("setRole", "ack"),
        };
        frame["action"] = json!(action);
        match what {
            What::Promote => frame["role"] = json!("admin"),
            What::Demote => frame["role"] = json!("member"),
            What::Invite => frame = json!({ "action": action, "roomId": room, "members": [subject] }),
            _ => {}
        }
        let asked = self.asks(room, frame, wanted).await;
        self.notes(what, room, &subject, &asked);
    }

    pub async fn blocks(&mut self) {
        let peer = self.neighbour();
        let (what, action) = if self.rng.bool() { (What::Block, "blockUser") } else { (What::Unblock, "unblockUser") };
        let asked = self.asks("", json!({ "action": action, "userId": peer }), "ack").await;
        self.notes(what, "", &peer, &asked);
    }
}
