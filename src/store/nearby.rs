//! Active rooms by the places that they are at.

use futures_util::future::try_join_all;
use futures_util::stream::TryStreamExt;
use serde::Deserialize;

use super::rooms::RoomRow;
use super::{Statement, Store, pages, row_of};
use crate::domain::{CellRange, GeoKey, Location, Metres, Room, RoomId, RoomType, UserId};
use crate::error::Error;
use crate::tables::{ROOMS, ROOMS_BY_PLACE};

/// What a search needs to know of a room to tell whether it is near.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NearbyRow {
    pub id: RoomId,
    pub location: Location,
    pub radius: Metres,
    pub room_type: RoomType,
    spot: String,
}

impl NearbyRow {
    /// Whether a user seems to have created the room: its key ends with a part of a hash.
    pub fn may_be_of(&self, user: &UserId) -> bool {
        self.spot.ends_with(&GeoKey::tag_of(user))
    }
}

impl Store {
    /// All rooms that are filed under `ranges`, each of which is one query and its further pages. It may be a moment
    /// behind: rooms may be closed already.
    pub async fn rooms_in(&self, ranges: &[CellRange]) -> Result<Vec<NearbyRow>, Error> {
        let found = try_join_all(ranges.iter().map(|range| {
            let statement = Statement::query("cell = :cell AND spot BETWEEN :from AND :to")
                .bind(":cell", &*range.cell)
                .bind(":from", &*range.from)
                .bind(":to", &*range.to);
            let query = self.query(&ROOMS, &statement).index_name(ROOMS_BY_PLACE.name);
            pages::<NearbyRow>(query).try_concat()
        }));
        Ok(found.await?.into_iter().flatten().collect())
    }

    /// The rooms of these ids, at most 100, as they are now and in no order. Those that are not there are left out.
    pub async fn rooms_of(&self, ids: impl Iterator<Item = &RoomId>) -> Result<Vec<Room>, Error> {
        let keys: Vec<_> = ids.map(|id| (&ROOMS, ROOMS.key(id.as_str()))).collect();
        let rows = self.items(&keys).await?.into_iter().flatten();
        try_join_all(rows.map(|item| async { self.counted(row_of::<RoomRow>(item)?).await })).await
    }
}
