//! Files.

use serde_json::json;

use super::Client;
use crate::harness::request;
use crate::record::Upload;

impl Client {
    /// Announces a file and uploads it; now and then it leaves the room in between.
    pub async fn uploads(&mut self, room: &str) {
        const BYTES: &[u8] = b"A file.";
        let name = format!("{}-{}.txt", self.record.user, self.record.uploads.len());
        let frame = json!({ "action": "handleFileUpload", "roomId": room, "fileName": name,
            "contentType": "text/plain", "size": BYTES.len() });
        let asked = self.asks(room, frame, "upload").await;
        let Some(answer) = asked.success().cloned() else { return };
        if self.number > 0 && self.rng.u32(..4) == 0 {
            self.leaves(room).await;
        }
        let headers = answer["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
        let began = self.place.clock.now();
        let put = request("PUT", answer["uploadUrl"].as_str().unwrap(), &headers, BYTES).await;
        let (room, file) = (room.to_owned(), answer["fileId"].as_str().unwrap().to_owned());
        let uploaded = (put.status == 200).then_some(began);
        self.record.uploads.push(Upload { room, file, span: asked.span, uploaded, is_there: false });
    }

    /// Asks for each of its files.
    pub async fn downloads(&mut self) {
        for number in 0..self.record.uploads.len() {
            let file = self.record.uploads[number].file.clone();
            let asked = self.asks("", json!({ "action": "getFile", "fileId": file }), "file").await;
            self.record.uploads[number].is_there = asked.success().is_some();
        }
    }
}
