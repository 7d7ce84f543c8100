//! Files: announced, uploaded, told of.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};

use super::{Statement, Store, item_of};
use crate::domain::{
    ContentType, FileId, FileName, Name, NewFile, ObjectKey, RoomId, Seq, Sha256, Style, Timestamp, UserId,
};
use crate::error::Error;
use crate::tables::FILES;

/// For how long an upload is waited for. Its address holds for minutes; S3 may tell of it hours later.
const PENDING_SECS: i64 = 86_400;

/// What has become of an announced file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// Announced; it may never come.
    Pending,
    /// There, and in the log of its room.
    Ready,
    /// What came was not what was announced.
    Mismatched,
    /// What came had no place any more: the room was closed, or the sender had left it.
    Unwanted,
}

impl FileStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Mismatched => "mismatched",
            Self::Unwanted => "unwanted",
        }
    }
}

/// A file and who announced it where.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    pub file_id: FileId,
    pub status: FileStatus,
    pub room_id: RoomId,
    /// The other one, in a direct conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<UserId>,
    pub object_key: ObjectKey,
    pub user_id: UserId,
    pub user_name: Name,
    /// Whether the name is that of the author's token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub name_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_color: Option<String>,
    pub file_name: FileName,
    pub content_type: ContentType,
    /// Whether the object may have another type than was announced: what counts is sent with each download.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_type: bool,
    /// Whether the author has the role `admin` of a token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_admin: bool,
    /// In bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Where the room's log tells of it, once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// S3's tag of the bytes that were accepted: an object with another one has been put in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    pub announced_at: Timestamp,
    /// Whether those whom it concerns have been told.
    #[serde(default)]
    pub told: bool,
    pub ttl: i64,
}

/// Who announces a file, and where.
#[derive(Clone)]
pub struct Announcement {
    pub room: RoomId,
    pub peer: Option<UserId>,
    pub user: UserId,
    pub name: Name,
    /// As [`StoredFile::name_verified`].
    pub name_verified: bool,
    pub style: Style,
    pub file: NewFile,
    /// As [`StoredFile::any_type`].
    pub any_type: bool,
    /// As [`StoredFile::is_admin`].
    pub is_admin: bool,
}

impl StoredFile {
    /// The row of a file that was just announced.
    pub fn announced(by: &Announcement, now: Timestamp) -> Self {
        let by = by.clone();
        let file_id = FileId::fresh();
        Self {
            object_key: ObjectKey::new(&by.room, &file_id, &by.file.name),
            file_id,
            status: FileStatus::Pending,
            room_id: by.room,
            peer: by.peer,
            user_id: by.user,
            user_name: by.name,
            name_verified: by.name_verified,
            user_icon: by.style.icon,
            user_color: by.style.color,
            file_name: by.file.name,
            content_type: by.file.content_type,
            any_type: by.any_type,
            is_admin: by.is_admin,
            size: by.file.size,
            sha256: by.file.sha256,
            seq: None,
            tag: None,
            announced_at: now,
            told: false,
            ttl: now.as_secs() + PENDING_SECS,
        }
    }
}

impl Store {
    /// A file, unless it has expired.
    pub async fn file(&self, id: &FileId, now: Timestamp) -> Result<Option<StoredFile>, Error> {
        let row: Option<StoredFile> = self.row(&FILES, FILES.key(id.as_str())).await?;
        Ok(row.filter(|row| !now.has_passed(row.ttl)))
    }

    /// Stores an announced file.
    pub async fn add_file(&self, file: &StoredFile) -> Result<(), Error> {
        self.put(&FILES, item_of(file)?, &Statement::default()).await.map(drop)
    }

    /// Refuses a file for good, if it has the status `from`. `false` when it has another one.
    pub async fn refuse_file(&self, id: &FileId, from: FileStatus, why: FileStatus) -> Result<bool, Error> {
        let statement = Statement::update("SET status = :why")
            .when("status = :from")
            .bind(":why", why.as_str())
            .bind(":from", from.as_str());
        self.update(&FILES, FILES.key(id.as_str()), &statement).await
    }

    /// Notes that a file, or its refusal, has been published.
    pub async fn note_told(&self, id: &FileId) -> Result<(), Error> {
        let statement = Statement::update("SET told = :true").when("attribute_exists(fileId)").bind(":true", true);
        self.update(&FILES, FILES.key(id.as_str()), &statement).await.map(drop)
    }

    /// The part of a transaction that makes a file ready: if it was announced and is not ready yet.
    pub(super) fn file_ready(&self, id: &FileId, tag: &str, seq: Seq, ttl: i64) -> Result<TransactWriteItem, Error> {
        let statement = Statement::update("SET status = :ready, seq = :seq, tag = :tag, ttl = :ttl")
            .when("status = :pending")
            .bind(":ready", FileStatus::Ready.as_str())
            .bind(":pending", FileStatus::Pending.as_str())
            .bind(":seq", seq.as_i64())
            .bind(":tag", tag)
            .bind(":ttl", ttl);
        self.update_part(&FILES, FILES.key(id.as_str()), &statement)
    }
}
