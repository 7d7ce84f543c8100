//! Checks at start that the function's program exists.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use rustix::fs::{Access, access};

/// # Errors
/// The operating system cannot start the program, which is looked up in `PATH` if its name has no slash.
pub fn require_program(command: &[OsString], environment: &[(String, String)]) -> Result<(), String> {
    let program = command.first().ok_or("the command is empty")?;
    let is_executable = |file: &Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let file = Path::new(program);
    if program.as_encoded_bytes().contains(&b'/') {
        return match (is_executable(file), file.try_exists()) {
            (true, _) => Ok(()),
            (false, Ok(true)) => Err(format!("{} is not executable", file.display())),
            (false, _) => Err(format!("{} does not exist", file.display())),
        };
    }
    let set = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.into());
    let folders = set.or_else(|| env::var_os("PATH")).unwrap_or_else(|| OsStr::new("/bin:/usr/bin").to_owned());
    match env::split_paths(&folders).any(|folder| is_executable(&folder.join(program))) {
        true => Ok(()),
        false => Err(format!("{} was not found in PATH", file.display())),
    }
}
