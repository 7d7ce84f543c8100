//! Who may download a file.

use tokio::try_join;

use super::{Access, Origin, limits, require_member};
use crate::context::Context;
use crate::domain::{FileId, UserId};
use crate::error::Error;
use crate::store::{FileStatus, StoredFile};
use crate::wire::requests::GetFile;

/// A user who may download a file, which is ready.
pub struct FileReader {
    pub file: StoredFile,
}

impl<O: Origin> Access<O, GetFile> for FileReader {
    async fn resolve(ctx: &Context, origin: &O, request: &GetFile) -> Result<Self, Error> {
        let (id, ticket) = &request.file_id.0;
        let (user, file) = try_join!(reader(ctx, origin, id, ticket.as_deref()), ctx.store.file(id, ctx.now))?;
        let file = file.filter(|file| file.status == FileStatus::Ready).ok_or(Error::FileNotFound)?;
        ctx.note_room(&file.room_id);
        require_member(ctx, &user, &file.room_id).await?;
        Ok(Self { file })
    }
}

/// The user who requests a file: the identified caller, or else the user of the link.
async fn reader<O: Origin>(ctx: &Context, origin: &O, file: &FileId, ticket: Option<&str>) -> Result<UserId, Error> {
    match ticket.filter(|_| !origin.names_caller(ctx)) {
        Some(ticket) => {
            let reader = ctx.links.reader(file, ticket, ctx.now)?;
            limits::admit(ctx, &reader).await?;
            Ok(reader)
        }
        None => origin.caller(ctx).await.map(|caller| caller.user),
    }
}
