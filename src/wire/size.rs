//! What fits a frame.

use serde::Serialize;

/// Most bytes of one frame: API Gateway's limit.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>
pub const LARGEST_FRAME_BYTES: usize = 32 * 1024;

/// Most bytes that an answer adds around its items: a room's id and the client's request id, both with every character
/// escaped, and cursors.
pub const ENVELOPE_BYTES: usize = 1024;

/// How many bytes `item` takes in a frame, its comma included.
pub fn size_of(item: &impl Serialize) -> usize {
    json(item).len() + 1
}

/// How many of `items`, from the first, fit one frame in which `taken` bytes are used.
pub fn fitting<'a, T: Serialize + 'a>(items: impl Iterator<Item = &'a T>, taken: usize) -> usize {
    fitting_sizes(items.map(size_of), taken)
}

/// How many items of `sizes` bytes, from the first, fit one frame in which `taken` bytes are used.
pub fn fitting_sizes(sizes: impl Iterator<Item = usize>, taken: usize) -> usize {
    let mut left = LARGEST_FRAME_BYTES.saturating_sub(taken);
    sizes
        .take_while(|&size| {
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .count()
}

/// Frames consist of strings, numbers and lists, which JSON can always hold.
pub fn json(frame: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}
