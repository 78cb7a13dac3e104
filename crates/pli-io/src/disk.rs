//! Files, as the store uses them: append, read at, sync, list, replace.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; reading only.
    Read,
    /// It must exist; reading and writing.
    ReadWrite,
    /// It must not exist; reading and writing; mode 0600.
    CreateNew,
}

/// Space on the file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Size.
    pub total_bytes: u64,
    /// Free for us.
    pub available_bytes: u64,
}

/// A disk.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Names in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and its parents, mode 0700.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all that is in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Renames over whatever stands at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes names in the folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Whether there is something at the path.
    fn exists(&self, path: &Path) -> bool;
    /// Space left where the path stands.
    fn space(&self, path: &Path) -> io::Result<DiskSpace>;
    /// Whether calls must come from one thread after the other, so that a run with the same seed is the same run.
    fn is_in_order(&self) -> bool {
        false
    }
    /// Reads a whole small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
    /// Writes a whole small file so that after a crash either the old or the new one is there.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("new");
        if self.exists(&temporary) {
            self.remove(&temporary)?;
        }
        let file = self.open(&temporary, OpenMode::CreateNew)?;
        file.write_all_at(&[IoSlice::new(contents)], 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads exactly `buf.len()` bytes at `offset`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all slices, one after the other, at `offset`.
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes written bytes (and the length needed to read them) durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
    /// Cuts or extends.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Takes an exclusive lock that ends with the process; false when another process holds it.
    fn try_lock(&self) -> io::Result<bool>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::CreateNew => options.read(true).write(true).create_new(true).mode(0o600),
        };
        Ok(Arc::new(RealFile(options.open(path).map_err(|e| with_path(&e, "open", path))?)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(|e| with_path(&e, "list", dir))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| with_path(&e, "create", dir))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(|e| with_path(&e, "remove", path))
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir).map_err(|e| with_path(&e, "remove", dir))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(|e| with_path(&e, "rename", from))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir).and_then(|d| d.sync_all()).map_err(|e| with_path(&e, "sync", dir))
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(DiskSpace {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// Keeps the kind and adds what was tried, on which path.
fn with_path(error: &io::Error, verb: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{verb} {}: {error}", PathBuf::from(path).display()))
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut at = offset;
        let mut rest: Vec<IoSlice<'_>> = slices.to_vec();
        let mut rest = rest.as_mut_slice();
        while !rest.is_empty() {
            // One call for up to 1,024 slices: a commit group is one write.
            let batch = rest.get(..rest.len().min(1024)).unwrap_or_default();
            let written = rustix::io::pwritev(&self.0, batch, at)?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero));
            }
            at = at.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
            IoSlice::advance_slices(&mut rest, written);
        }
        (&self.0).flush()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}
/// Whether no more files can be opened now, by this process or on this machine: EMFILE, ENFILE.
#[must_use]
pub fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
