//! Which files go to which worker: large ones have one to themselves, small ones share.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use holdfast_contract::report::Report;
use holdfast_inspection::batch::{MAX_FILE_BYTES, MAX_FILES, Small};
use holdfast_inspection::{Source, Worker, WorkerError};

/// Files for one worker, next to each other in the order in which they are reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Job<'a>(Vec<&'a PathBuf>);

/// Puts files together. `size` says how large one is, and none where that is not known: such a file is alone.
pub fn plan<'a>(files: &'a [PathBuf], size: impl Fn(&Path) -> Option<u64>) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    let mut open = false;
    for path in files {
        let small = size(path).is_some_and(|size| size <= MAX_FILE_BYTES);
        match jobs.last_mut() {
            Some(Job(paths)) if open && small && paths.len() < MAX_FILES => paths.push(path),
            _ => jobs.push(Job(vec![path])),
        }
        open = small;
    }
    jobs
}

impl<'a> Job<'a> {
    /// Inspects the files; the reports come in their order. `progress` hears how many bytes more are done.
    ///
    /// # Errors
    ///
    /// When a worker cannot be started.
    pub async fn run(
        &self,
        worker: &Worker,
        mut progress: impl FnMut(u64),
    ) -> Result<Vec<(&'a PathBuf, Report)>, WorkerError> {
        let mut reports = Vec::with_capacity(self.0.len());
        if let [_, _, ..] = self.0.as_slice() {
            // A file that is gone or has grown meanwhile ends the batch; it is looked at alone.
            let files: Vec<Small> = self.0.iter().map_while(|path| read(path)).collect();
            for (path, report) in self.0.iter().zip(worker.inspect_batch(&files).await?) {
                progress(report.size_bytes);
                reports.push((*path, report));
            }
        }
        for path in self.0.iter().skip(reports.len()) {
            let mut last = 0;
            let report = worker
                .inspect_path(path, |now| {
                    progress(now.saturating_sub(last));
                    last = now;
                })
                .await?;
            reports.push((path, report));
        }
        Ok(reports)
    }
}

fn read(path: &Path) -> Option<Small> {
    let source = Source::open(path).ok()?;
    let mut content = Vec::new();
    source
        .file
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    (content.len() as u64 <= MAX_FILE_BYTES).then_some(Small { name, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_neighbours_share_and_others_are_alone() {
        let files: Vec<PathBuf> = ["s1", "s2", "large", "s3", "unknown", "s4", "s5"]
            .iter()
            .map(PathBuf::from)
            .collect();
        let size = |path: &Path| match path.to_str() {
            Some("large") => Some(MAX_FILE_BYTES + 1),
            Some("unknown") => None,
            _ => Some(MAX_FILE_BYTES),
        };
        let jobs = plan(&files, size);
        let lengths: Vec<_> = jobs.iter().map(|Job(paths)| paths.len()).collect();
        assert_eq!(lengths, [2, 1, 1, 1, 2]);
        let order: Vec<_> = jobs.iter().flat_map(|Job(paths)| paths.iter()).collect();
        assert!(order.into_iter().copied().eq(&files));
        let many: Vec<PathBuf> = (0..=MAX_FILES * 2).map(|n| n.to_string().into()).collect();
        assert_eq!(plan(&many, |_| Some(1)).len(), 3);
        assert!(plan(&[], |_| None).is_empty());
    }
}
