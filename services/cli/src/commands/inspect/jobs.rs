//! Which files go to which worker: large ones have one to themselves, small ones share.

use std::io::Read as _;

use holdfast_contract::report::Report;
use holdfast_formats::set::Ties;
use holdfast_formats::{Format, rules};
use holdfast_inspection::batch::{MAX_FILE_BYTES, MAX_FILES, Small};
use holdfast_inspection::report::refusal;
use holdfast_inspection::source::Stamp;
use holdfast_inspection::{Source, Worker, WorkerError};

use super::files::{Listed, Target};

/// Files for one worker, next to each other in the order in which they are reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Job<'a>(Vec<&'a Listed>);

/// A file that was inspected.
#[derive(Debug)]
pub struct Done<'a> {
    /// Which file.
    pub file: &'a Listed,
    /// What was found.
    pub report: Report,
    /// What ties it to others.
    pub ties: Ties,
    /// By what it is known again, if it could be opened.
    pub stamp: Option<Stamp>,
}

/// Opens a file as it is meant.
///
/// # Errors
///
/// The refusal to report, when it cannot be opened or must not be.
pub fn open(file: &Listed) -> Result<Source, Box<Report>> {
    match &file.target {
        Target::Named => Source::open(&file.path),
        Target::Itself => Source::open_unlinked(&file.path),
        Target::Linked(real) => Source::open_unlinked(real),
        Target::Away => {
            let message = "it is a link that leads out of the directory, and was not followed";
            Err(Box::new(refusal(&rules::SET_LINK, Format::Unknown, 0, message)))
        }
        Target::Repository => {
            let message = "it is what Git keeps of the directory, and was not looked into: inspect the directory without `.git`";
            Err(Box::new(refusal(&rules::SET_GIT, Format::Unknown, 0, message)))
        }
    }
}

fn name(file: &Listed) -> String {
    let name = file.path.file_name().map(|name| name.to_string_lossy());
    name.unwrap_or_default().into_owned()
}

/// Puts files together. `size` says how large one is, and none where that is not known: such a file is alone.
pub fn plan<'a>(files: &'a [Listed], size: impl Fn(&Listed) -> Option<u64>) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    let mut open = false;
    for file in files {
        let small = size(file).is_some_and(|size| size <= MAX_FILE_BYTES);
        match jobs.last_mut() {
            Some(Job(files)) if open && small && files.len() < MAX_FILES => files.push(file),
            _ => jobs.push(Job(vec![file])),
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
    ) -> Result<Vec<Done<'a>>, WorkerError> {
        let mut done = Vec::with_capacity(self.0.len());
        if let [_, _, ..] = self.0.as_slice() {
            // A file that is gone or has grown meanwhile ends the batch; it is looked at alone.
            let (files, stamps): (Vec<Small>, Vec<Stamp>) =
                self.0.iter().map_while(|file| read(file)).unzip();
            let answers = worker.inspect_batch_tied(&files).await?;
            for ((file, stamp), (report, ties)) in self.0.iter().zip(stamps).zip(answers) {
                progress(report.size_bytes);
                done.push(Done {
                    file,
                    report,
                    ties,
                    stamp: Some(stamp),
                });
            }
        }
        for file in self.0.iter().skip(done.len()) {
            let source = match open(file) {
                Ok(source) => source,
                Err(report) => {
                    done.push(Done {
                        file,
                        report: *report,
                        ties: Ties::default(),
                        stamp: None,
                    });
                    continue;
                }
            };
            let stamp = Some(source.stamp);
            let mut last = 0;
            let name = name(file);
            let inspection = worker.inspect_tied(source.file, &name, |now| {
                progress(now.saturating_sub(last));
                last = now;
            });
            let (report, ties) = inspection.await?;
            done.push(Done {
                file,
                report,
                ties,
                stamp,
            });
        }
        Ok(done)
    }
}

fn read(file: &Listed) -> Option<(Small, Stamp)> {
    let source = open(file).ok()?;
    let mut content = Vec::new();
    source
        .file
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .ok()?;
    let name = name(file);
    let is_small = content.len() as u64 <= MAX_FILE_BYTES;
    is_small.then_some((Small { name, content }, source.stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_neighbours_share_and_others_are_alone() {
        let listed = |name: &str| Listed {
            path: name.into(),
            target: Target::Itself,
        };
        let files = ["s1", "s2", "large", "s3", "unknown", "s4", "s5"].map(listed);
        let size = |file: &Listed| match file.path.to_str() {
            Some("large") => Some(MAX_FILE_BYTES + 1),
            Some("unknown") => None,
            _ => Some(MAX_FILE_BYTES),
        };
        let jobs = plan(&files, size);
        let lengths: Vec<_> = jobs.iter().map(|Job(files)| files.len()).collect();
        assert_eq!(lengths, [2, 1, 1, 1, 2]);
        let order: Vec<_> = jobs.iter().flat_map(|Job(files)| files.iter()).collect();
        assert!(order.into_iter().copied().eq(&files));
        let many: Vec<_> = (0..=MAX_FILES * 2)
            .map(|number| listed(&number.to_string()))
            .collect();
        assert_eq!(plan(&many, |_| Some(1)).len(), 3);
        assert!(plan(&[], |_| None).is_empty());
    }
}
