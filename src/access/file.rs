//! Who may download a file.

use tokio::try_join;

use super::{Access, Origin, limits, require_member, was_revoked_since};
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
        let (id, in_path) = &request.file_id.0;
        let ticket = request.t.as_ref().map(|ticket| &ticket.0).or(in_path.as_ref()).map(String::as_str);
        let (user, file) = try_join!(reader(ctx, origin, id, ticket), ctx.store.file(id, ctx.now))?;
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
            let (reader, made_at) = ctx.links.reader(file, ticket, ctx.now)?;
            limits::admit(ctx, &reader).await?;
            if was_revoked_since(ctx, &reader, made_at).await? {
                return Err(Error::Unauthorized("this file link was revoked; sign in again"));
            }
            Ok(reader)
        }
        None => origin.caller(ctx).await.map(|caller| caller.user),
    }
}
