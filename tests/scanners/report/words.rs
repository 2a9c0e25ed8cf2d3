//! What the page says besides numbers.

use crate::outcome::Verdict;
use crate::tools::Tool;

/// The beginning.
pub const INTRODUCTION: &str = "\
# Compared with other scanners

<!-- Made by `make bench-scanners`; change tests/scanners/, not this. -->

Speed, memory, detection and false alarms of `holdfast inspect` and of four scanners from PyPI, measured in one run on one machine.
";

/// What a tool was made for.
pub fn made_for(tool: Tool) -> &'static str {
    match tool {
        Tool::Openssl => "hashing",
        Tool::Holdfast => {
            "deciding whether a model file may be used at all: what it cannot follow, it refuses"
        }
        Tool::Picklescan => {
            "finding dangerous imports in pickles, quickly and with few alarms, on a hub with many files"
        }
        Tool::Modelscan => {
            "finding unsafe operators in pickles, Keras and TensorFlow models, in a build pipeline"
        }
        Tool::Fickling => "taking pickles apart: decompiling, tracing, and a check of their safety",
        Tool::Modelaudit => {
            "auditing models of many formats, with secrets, licences and network addresses besides"
        }
    }
}

/// Whom the comparison does not do justice.
pub const FAIRNESS: &str = "\
They have other goals, so no column alone says which is better. Those that list what is bad raise few alarms and miss what nobody \
has listed yet; Holdfast lists what weights need and refuses the rest, which is safe for an appliance and would be a nuisance on a hub. \
picklescan, modelscan and fickling have no reason to read tensors: a pickle's program is at its beginning. Holdfast reads every byte because \
its verdict is bound to the digest. modelaudit reads many formats that Holdfast refuses unread. fickling is a library first; its \
command takes one bare pickle and no archive, so on other formats what it says is not about them.

modelscan can also use TensorFlow and h5py, which are not installed here: with them it reads more of Keras and TensorFlow, and takes \
seconds to start.
";

/// What the columns of speed mean.
pub const SPEED: &str = "\
- **says**: what it thinks of the file, which is well formed and harmless.
- **MB/s** (millions of bytes) and **÷ openssl**: how fast the file went by, and that divided by the speed of `openssl dgst -sha256`, \
which reads and hashes and does nothing else, in the same run. Above 1 is faster than openssl. Not given for a tool that does not read \
the tensors: it would be the size of what it skipped.
- **processor seconds**: the processor time of the tool and what it started, least of the rounds, and openssl's divided by that. It \
hardly depends on what else runs on the machine. Holdfast hashes and parses in two threads, so its seconds can be fewer.
- **peak memory**: the most that was resident, of all processes of the tool together.
- **of the file read**: what it asked the kernel to read, beyond what the same tool reads for a file of the same format with as good \
as no tensors, divided by the size of the file. 200 % is twice. `headers` is less than 1 %. A file can also be mapped, which the \
kernel does not count as reading; where so much more memory was resident that this may have happened, it says so.
";

/// What the columns of small files mean.
pub const SMALL: &str = "\
Measured once. Here the start of the tool and what it spends on each file count, not its speed at reading. Holdfast puts small files \
that follow each other into jailed processes together, up to 256 in each and as many at once as there are cores; a larger file has one \
to itself. fickling takes one file at a time and was started for each of the first files, so its number is that of its start. The others read all files in one process. \
The memory is that of the largest process.
";

/// What a verdict is called.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Flagged => "flagged",
        Verdict::Unread => "not read",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Accepted => "accepted",
        Verdict::Crashed => "**crashed**",
        Verdict::TimedOut => "**not in time**",
    }
}

/// What the columns of detection mean.
pub const DETECTION: &str = "\
- **flagged**: the tool says that something is wrong with the file.
- **not read**: it says that it has nothing for such files. For Holdfast that is a refusal by name (`HF-FMT-…`), for modelscan exit \
code 3, for modelaudit a report in which none of its scanners took the file. picklescan does not tell: it counts what it \
skips as scanned, so that is among its accepted ones.
- **inconclusive**: it began and could not finish, and had found nothing until then.
- **accepted**: nothing is wrong with the file.
- **crashed**: an exception that nobody caught, a signal, or more than a minute.
- **exit ≠ 0**: how many of these files stop a script that looks at nothing but the exit code. This is what decides in a pipeline: \
a file that is not read passes with modelaudit, and is stopped by modelscan and Holdfast.

Exit codes are read as each tool documents them, and its report where that says more: modelscan and modelaudit can report findings \
under the code for errors, and an uncaught Python exception ends in the code that fickling uses for an unsafe pickle.
";

/// How it is done, and how to do it again.
pub const METHOD: &str = "\
- Tools take turns, and the best of the rounds counts: what else runs on a machine only makes a program slower. The file is read \
once before, so no disk is measured.
- Each run has a wrapper process of its own. When it has waited for the tool, the kernel has added to the wrapper's counters what the \
tool and its children read (`rchar`) and the largest memory of one of them (`ru_maxrss`); this is exact, and nothing is sampled while the clock \
runs. The memory of all processes together is looked at every 10 ms in a run that is not timed; the larger of both numbers is shown.
- Each tool has an empty home directory and its makers' telemetry switched off (`PROMPTFOO_DISABLE_TELEMETRY`). modelaudit's cache is \
off: a second round would measure the first one's answer.
- Labelled samples have a minute each; they are not timed, and run as many at once as there are cores.

```console
$ make bench-scanners                                                 # needs Python, and three times the size in free disk space
$ HOLDFAST_PEER_DATA=~/samples scripts/bench-scanners --size 512MiB   # with labelled samples, and smaller files
$ scripts/bench-scanners --help
```

The versions of the scanners and of everything that they need are in `tests/scanners/requirements.txt`; all numbers of the last run \
are in `target/scanners/results.json`, the verdict on each sample among them.
";
