//! The table of findings: every id, its weight, what it means and what to do about it. `docs/findings.md` is this table.
//!
//! Ids are stable: a rule that goes away leaves its id unused. A file that contradicts itself or its format is `High`; a
//! file that is well formed but that the engine would not load, or that is merely odd, is `Low`.

use std::fmt::Write as _;

use holdfast_contract::report::{Condition, Severity};

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id, for example `HF-GGUF-003`.
    pub id: &'static str,
    /// How much a finding of this kind weighs.
    pub severity: Severity,
    /// What binds the user of a file with this finding, if it is `Medium`.
    pub condition: Option<Condition>,
    /// The kind of finding in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What the person can do.
    pub advice: &'static str,
}

/// The rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.id == id)
}

macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $(requires $condition:ident)? : $title:literal, $why:literal, $advice:expr;)+) => {
        $(
            #[doc = concat!("`", $id, "`: ", $title, ".")]
            pub static $name: Rule = Rule {
                id: $id,
                severity: Severity::$severity,
                condition: rules!(@condition $($condition)?),
                title: $title,
                why: $why,
                advice: $advice,
            };
        )+
        /// Every rule, in the order of the documentation.
        pub static ALL: &[&Rule] = &[$(&$name),+];
    };
    (@condition) => { None };
    (@condition $condition:ident) => { Some(Condition::$condition) };
}

const AGAIN: &str = "Download the file again and compare its SHA-256 with the publisher's.";
const CONVERT: &str =
    "Ask the publisher for a GGUF or safetensors version, or convert it on a machine you can afford to lose.";
const REMAKE: &str = "Do not use this file. Get it from its publisher, or convert the original model again with a current tool.";
const BUILT_IN: &str = "Use the model with a built-in template, or get another version of it.";
const HARMFUL: &str = "Do not use this file, and tell whoever gave it to you. If it is on other machines, look there for what it may have done.";
const NOTHING: &str = "Nothing has to be done.";
const RETRY: &str =
    "Try again. If it happens again with a file you trust, report it as a defect of Holdfast.";

rules! {
    IO_TOO_LARGE "HF-IO-001" High: "The file is larger than the limit",
        "Files above 64 GiB are not taken in. The bytes were not read, so no digest exists.",
        "Use a smaller quantisation of the model, or one that its publisher has split into parts.";
    IO_READ "HF-IO-002" High: "The file could not be read to its end",
        "The operating system reported an error while the bytes were read. What was not seen cannot be admitted.",
        "Check the disk or the network share that the file is on, then try again.";
    IO_GREW "HF-IO-003" High: "The file grew while it was read",
        "Somebody was still writing to the file. What was inspected would not be what is used.",
        "Wait until the download or copy has ended, then try again.";
    IO_SHRANK "HF-IO-004" High: "The file became shorter while it was read",
        "Somebody changed the file during the inspection. What was inspected would not be what is used.",
        "Make sure that nothing writes to the file, then try again.";
    IO_KIND "HF-IO-005" High: "Not a regular file",
        "Directories, pipes, sockets and devices are not models. Nothing was read from it.",
        "Name the model file itself.";
    IO_OPEN "HF-IO-006" High: "The file could not be opened",
        "It does not exist, or its permissions keep it closed. Nothing was read from it.",
        "Check the path and the permissions of the file.";
    IO_WORKER_DIED "HF-IO-007" High: "The inspection ended before it had a result",
        "The confined process that reads the file crashed or was stopped by a limit on its memory, processor time or \
         system calls. A file that can do that is not admitted.",
        RETRY;
    IO_WORKER_SLOW "HF-IO-008" High: "The inspection took too long",
        "The confined process that reads the file was stopped at its deadline.",
        RETRY;
    IO_WORKER_ANSWER "HF-IO-009" High: "The result of the inspection was not usable",
        "The confined process that reads the file answered something that is not a report on this file. It may have been taken \
         over by the file's content.",
        RETRY;
    IO_CHANGED "HF-IO-010" High: "The file changed while it was read",
        "Its size or its times are not what they were before. What was inspected may not be what is used.",
        "Make sure that nothing writes to the file, then try again.";

    POL_FORMAT "HF-POL-001" High: "A format that your policy does not accept",
        "The policy that the inspection was given lists the formats that it accepts.",
        "Convert the file, or change the policy.";
    POL_SIZE "HF-POL-002" High: "A file that is larger than your policy accepts",
        "The policy that the inspection was given has a largest size.",
        "Change the policy if the file is meant to be this large.";
    POL_FINDING "HF-POL-003" High: "A finding that your policy refuses",
        "The inspection alone would not refuse the file for it.",
        "Read what the finding means, and get another version of the file or change the policy.";
    POL_CONDITION "HF-POL-004" High: "Conditions that your policy does not accept",
        "The inspection alone would admit the file under conditions.",
        "Read which finding asks for the condition, and get another version of the file or change the policy.";

    FMT_UNKNOWN "HF-FMT-001" High: "The content is of no known kind",
        "Nothing that Holdfast knows looks like this. What cannot be recognised cannot be checked.",
        "Make sure that it is the model file. It may be encrypted or damaged, or of a kind that Holdfast does not know yet.";
    FMT_EMPTY "HF-FMT-002" High: "The file is empty",
        "It has no bytes at all.",
        AGAIN;
    FMT_NAME "HF-FMT-003" Low: "The name promises another kind of file",
        "The file's extension belongs to a format other than that of its content. The content decides, but a mismatch can be meant to \
         mislead a person or a program that goes by names.",
        "Ask where the file came from, and rename it to match its content.";
    FMT_HIDDEN_NAME "HF-FMT-004" Low: "The file name has characters that do not show",
        "Invisible or direction-changing characters make a name look like another.",
        "Rename the file.";
    FMT_POLYGLOT "HF-FMT-005" High: "The file is of two kinds at once",
        "Besides being what it looks like, it can be opened as an archive or an HDF5 file by programs that look elsewhere in the file, \
         or run as a pickle by programs that take its first bytes for one. Ordinary tools do not make such files.",
        REMAKE;
    FMT_CHECKPOINT "HF-FMT-011" High: "An archive with a model that is a program",
        "Such archives can carry pickles or other code that runs when they are loaded.",
        CONVERT;
    FMT_ARCHIVE "HF-FMT-012" High: "An archive of a kind that is not looked into",
        "It is not a model but may contain one.",
        "Unpack it on another machine and hand in the model file.";
    FMT_PROGRAM "HF-FMT-013" Critical: "A program",
        "It is made to be executed, not to be loaded as a model.",
        "Do not run it. A llamafile's publisher usually offers the GGUF that is inside.";
    FMT_MODEL "HF-FMT-014" High: "A model in a format that is not supported",
        "The format was recognised, but Holdfast has no inspector and no engine for it.",
        CONVERT;
    FMT_DOCUMENT "HF-FMT-015" High: "Text, a picture or a document",
        "It is not a model. A web page in place of a model often means that a download failed or needs a login.",
        AGAIN;
    FMT_GGML "HF-FMT-016" High: "A GGML file from before GGUF",
        "The GGML, GGMF, GGJT and GGLA formats of 2023 have no checks and current engines do not read them.",
        "Get the model as GGUF, or convert it with an llama.cpp release of that time.";
    FMT_READ_AS "HF-FMT-017" High: "A file that is read as another kind for its name",
        "What reads files of this name looks for no mark at their beginning, or looks elsewhere for it. It can find another model than \
         the one that was inspected.",
        REMAKE;

    FMT_NOTES "HF-FMT-018" Low: "Notes that macOS keeps",
        "macOS writes a file `._name` beside a file and `.DS_Store` into a directory, for the Finder. Its archives hold them. They are no part \
         of a model, and no loader reads them.",
        NOTHING;
    FMT_NOTES_BROKEN "HF-FMT-019" High: "Notes of macOS that are none",
        "It begins as the notes that macOS keeps on a file or a directory, and does not go on like these, or is far longer. Something else is \
         hidden in it, or it is damaged.",
        "Remove it; no model needs it. If it was hidden on purpose, do not use the rest either.";
    FMT_NOTES_PRETENDED "HF-FMT-020" High: "Something else where macOS keeps its notes",
        "People and many programs pass over `__MACOSX`, `._name` and `.DS_Store`. Nothing but what macOS writes there has a reason to be there.",
        REMAKE;
    FMT_NO_BYTES "HF-FMT-021" Low: "A mark or text without bytes",
        "It has no bytes at all, and its name is that of a text, a mark or a lock: no model is missing, and nothing can hide in it.",
        NOTHING;
    FMT_PICTURE "HF-FMT-022" Low: "A picture",
        "A PNG or JPEG picture, which describes a model or is an example of what it does. No loader of models reads it.",
        NOTHING;
    FMT_PICTURE_BROKEN "HF-FMT-023" High: "Something that begins as a picture and is none",
        "Its parts do not fit, or something follows its end. Programs that look for their own kind at the end of a file would find that.",
        "Remove it if you do not need it; no model does. Otherwise save it again from a program for pictures.";

    SIG_PROGRAM "HF-SIG-001" Critical: "A program within the file",
        "In the middle of the file begins what an operating system or a language machine would load as a program: not only its \
         first bytes, but the fields behind them that its loader checks. Weights do not look so by chance; whoever put it there \
         has, or counts on, something that takes it out.",
        HARMFUL;
    SIG_ARCHIVE "HF-SIG-002" High: "An archive within the file",
        "In the middle of the file begins an archive or a compressed stream whose header is consistent. Nothing that loads the \
         model looks there, and what it holds was not inspected.",
        REMAKE;
    SIG_PICKLE "HF-SIG-003" Critical: "A pickle within the file that takes control",
        "In the middle of the file stand the opcodes of a Python pickle that calls something known to be dangerous. A reader that is \
         pointed there runs it.",
        HARMFUL;
    SIG_SCRIPT "HF-SIG-004" Critical: "A script within the file",
        "Between bytes that are no text stands the first line of a script, which names an interpreter, and text after it.",
        HARMFUL;

    YAR_CRITICAL "HF-YAR-001" Critical: "A rule of critical severity matches",
        "One of the YARA rules that the inspection was given, those that come with Holdfast or those of your site, matches the file, \
         and its author says that what it finds is made to harm. The message has the rule's name and what it says about itself.",
        HARMFUL;
    YAR_HIGH "HF-YAR-002" High: "A rule of high severity matches",
        "One of the YARA rules that the inspection was given matches the file. The message has the rule's name and what it says about \
         itself. A rule that states no severity counts as high.",
        "Read what the rule says. If it is a rule of your site, its author can tell what to do.";
    YAR_MEDIUM "HF-YAR-003" Medium requires NoTools: "A rule of medium severity matches",
        "One of the YARA rules that the inspection was given matches the file; its author does not think that this alone refuses it.",
        "Use the model without tools, or read what the rule says and get another version of the file.";
    YAR_LOW "HF-YAR-004" Low: "A rule of low severity matches",
        "One of the YARA rules that the inspection was given matches the file; its author thinks that it is worth knowing.",
        NOTHING;

    GGUF_VERSION "HF-GGUF-001" High: "Unsupported GGUF version",
        "Versions 2 and 3 exist and are understood. Version 1 was given up in 2023; higher ones do not exist yet.",
        "Get a current version of the file from its publisher.";
    GGUF_BIG_ENDIAN "HF-GGUF-002" High: "Big-endian GGUF",
        "The file was made for a processor with the other byte order. The engine here cannot use it.",
        "Get the little-endian version; almost every published GGUF is.";
    GGUF_TRUNCATED "HF-GGUF-003" High: "The file ends inside its header",
        "The list of metadata or tensors is cut off, or a length in it is larger than the file.",
        AGAIN;
    GGUF_COUNT "HF-GGUF-004" High: "Too many keys or tensors",
        "The header declares more than any real model has. Readers that believe such a number run out of memory.",
        REMAKE;
    GGUF_KEY "HF-GGUF-005" High: "A malformed metadata key",
        "Keys are 1 to 65535 printable ASCII characters.",
        REMAKE;
    GGUF_DUPLICATE_KEY "HF-GGUF-006" High: "A metadata key appears twice",
        "Readers disagree which of the two values counts, so one could be checked and the other used.",
        REMAKE;
    GGUF_VALUE_TYPE "HF-GGUF-007" High: "An unknown type of metadata value",
        "GGUF has thirteen types. After an unknown one nothing can be read reliably.",
        REMAKE;
    GGUF_NESTED "HF-GGUF-008" Low: "An array of arrays",
        "The format allows it, llama.cpp refuses to load it.",
        "If the model does not load, ask its publisher for a version without nested arrays.";
    GGUF_DEPTH "HF-GGUF-009" High: "Arrays nested too deeply",
        "Deep nesting has no use and exhausts the stack of readers that recurse.",
        REMAKE;
    GGUF_STRING_LENGTH "HF-GGUF-010" High: "An oversized string",
        "No string in a GGUF file may be longer than 1 GiB.",
        REMAKE;
    GGUF_ARRAY_LENGTH "HF-GGUF-011" High: "An oversized array",
        "No array in a GGUF file may have more than 2³⁰ elements.",
        REMAKE;
    GGUF_BOOLEAN "HF-GGUF-012" High: "A truth value that is neither 0 nor 1",
        "The specification calls such a file invalid; readers interpret it differently.",
        REMAKE;
    GGUF_TEXT "HF-GGUF-013" Low: "Text that is not UTF-8",
        "Strings in GGUF are UTF-8. Some tokenizers keep raw bytes in their vocabulary all the same.",
        NOTHING;
    GGUF_ALIGNMENT "HF-GGUF-014" High: "An impossible alignment",
        "`general.alignment` must be a 32-bit unsigned power of two. Otherwise readers place the tensors differently.",
        REMAKE;
    GGUF_SMALL_ALIGNMENT "HF-GGUF-015" Low: "An alignment below 8",
        "The specification asks for a multiple of 8; llama.cpp accepts less.",
        NOTHING;
    GGUF_TENSOR_NAME "HF-GGUF-016" High: "A malformed tensor name",
        "Tensor names are 1 to 63 bytes of UTF-8 without control characters. Readers cut longer ones or stop at a zero byte, so that \
         two tensors become one.",
        REMAKE;
    GGUF_DUPLICATE_TENSOR "HF-GGUF-017" High: "A tensor appears twice",
        "Readers disagree which of the two counts, so one could be checked and the other used.",
        REMAKE;
    GGUF_DIMENSIONS "HF-GGUF-018" High: "Too many dimensions",
        "A tensor has at most four.",
        REMAKE;
    GGUF_SHAPE "HF-GGUF-019" High: "An impossible tensor shape",
        "A dimension is negative, or the number of elements or bytes is larger than any computer can address. Readers that \
         multiply without care write beyond their memory.",
        REMAKE;
    GGUF_TENSOR_TYPE "HF-GGUF-020" High: "An unknown tensor type",
        "The number stands for no tensor type that is known here. The file may be made for a newer engine.",
        "Use a common quantisation of the same model, such as Q4_K_M or Q8_0.";
    GGUF_REMOVED_TYPE "HF-GGUF-021" High: "A tensor type that was given up",
        "llama.cpp removed this type; no current engine reads it.",
        "Use a common quantisation of the same model, such as Q4_K_M or Q8_0.";
    GGUF_BLOCK "HF-GGUF-022" High: "Rows that do not fill whole blocks",
        "A quantised tensor stores its rows in blocks of a fixed number of elements; the row length must be a multiple of it.",
        REMAKE;
    GGUF_OFFSET "HF-GGUF-023" High: "A misaligned tensor",
        "The position of a tensor's data must be a multiple of the file's alignment.",
        REMAKE;
    GGUF_OVERLAP "HF-GGUF-024" High: "Tensors overlap",
        "Two tensors claim the same bytes.",
        REMAKE;
    GGUF_GAP "HF-GGUF-025" High: "Unused bytes between tensors",
        "Bytes that belong to no tensor are a hiding place.",
        REMAKE;
    GGUF_ORDER "HF-GGUF-026" High: "Tensors are stored in another order than listed",
        "llama.cpp requires the data in the order of the list and refuses the file.",
        REMAKE;
    GGUF_DATA_TRUNCATED "HF-GGUF-027" High: "The file ends before its tensors do",
        "Data that the header promises is missing.",
        AGAIN;
    GGUF_PADDING "HF-GGUF-028" High: "Padding that is not zero",
        "The bytes that fill up to the alignment must be zero; anything else is hidden there.",
        REMAKE;
    GGUF_TRAILING "HF-GGUF-029" High: "Bytes after the last tensor",
        "They belong to nothing in the file. Something was appended.",
        REMAKE;
    GGUF_EMPTY_TENSOR "HF-GGUF-030" Low: "A tensor without elements",
        "One of its dimensions is zero. It takes no space and is of no use.",
        NOTHING;
    GGUF_NO_TENSORS "HF-GGUF-031" Low: "No tensors",
        "The file has metadata only, such as a vocabulary. It cannot be used as a model.",
        NOTHING;
    GGUF_NO_ARCHITECTURE "HF-GGUF-032" Low: "No architecture",
        "`general.architecture` is missing, so the engine cannot know how to run the model.",
        "If you expected a complete model, get the file from its publisher again.";
    GGUF_KEY_TYPE "HF-GGUF-033" High: "A well-known key has the wrong type",
        "The specification fixes the type of this key. Readers that do not check would take the value for something else.",
        REMAKE;
    GGUF_VOCABULARY "HF-GGUF-034" High: "The vocabulary's lists are too short",
        "Each token needs an entry in the lists of scores and types. Readers that do not check read beyond their memory.",
        REMAKE;
    GGUF_EMPTY_VOCABULARY "HF-GGUF-035" High: "An empty vocabulary",
        "The file declares a tokenizer with no tokens.",
        REMAKE;
    GGUF_DUPLICATE_TOKEN "HF-GGUF-036" Low: "A token appears twice",
        "llama.cpp ends with a failed assertion when it loads such a vocabulary.",
        "If the model does not load, ask its publisher for a repaired version.";
    GGUF_TOKEN_ID "HF-GGUF-037" Low: "A special token outside the vocabulary",
        "The engine ignores it and uses its default, so the model may not know where an answer ends.",
        "If answers do not end, use another version of the model.";
    GGUF_LONG_LIST "HF-GGUF-038" Low: "The vocabulary's lists are too long",
        "There are more scores or types than tokens. The engine ignores the rest.",
        NOTHING;
    GGUF_HYPERPARAMETER "HF-GGUF-039" Low: "A model dimension the engine cannot handle",
        "The value is outside the limits that are compiled into the engine, so it will refuse to load the model.",
        "If the model does not load, use another version of it.";
    GGUF_SPLIT "HF-GGUF-040" Low: "One part of a split model",
        "The model is spread over several files. One alone cannot be loaded.",
        "Merge the parts with `llama-gguf-split --merge` and hand in the whole.";
    GGUF_SPLIT_NUMBERS "HF-GGUF-041" High: "Contradictory split numbers",
        "The part's number, the number of parts and the number of tensors do not fit together.",
        REMAKE;
    GGUF_TEMPLATE "HF-GGUF-042" Medium requires NoChatTemplate: "An unusable chat template",
        "The chat template is not text. The model may be used, its template may not.",
        BUILT_IN;
    GGUF_CHARSMAP "HF-GGUF-043" High: "A tokenizer table that contradicts itself",
        "`tokenizer.ggml.precompiled_charsmap` claims an index larger than itself. Readers that do not check read beyond their memory.",
        REMAKE;

    TPL_UNREADABLE "HF-TPL-001" High: "A chat template that cannot be read",
        "It is not Jinja as chat templates use it, or too long to be judged. Another program may read it all the same, and would run what nobody \
         has looked at.",
        REMAKE;
    TPL_REACHES "HF-TPL-002" Critical: "A chat template that reaches for the interpreter",
        "It names what leads from Python's objects to the program that runs the template. Where templates are rendered by Python, this is \
         how they run code.",
        HARMFUL;
    TPL_COMPUTED "HF-TPL-003" High: "A chat template that looks things up by computed names",
        "It puts a name together and looks something up by it. That hides which name is meant; no chat template needs it.",
        REMAKE;
    TPL_LOADS "HF-TPL-004" High: "A chat template that asks for another file",
        "It includes, imports or extends another template. A chat template stands for itself.",
        REMAKE;
    TPL_UNKNOWN "HF-TPL-005" Medium requires NoChatTemplate: "An unknown function in a chat template",
        "It uses a function, filter or method that chat templates do not have, so that nobody can say what it does.",
        BUILT_IN;
    TPL_TRIGGER "HF-TPL-006" Medium requires NoChatTemplate: "A chat template that listens for words",
        "What the model is told depends on certain words of the conversation. That is how a template changes answers unseen.",
        BUILT_IN;
    TPL_DATED "HF-TPL-007" Medium requires NoChatTemplate: "A chat template that waits for a time",
        "What the model is told depends on the date or the time: harmless while it is tried, something else later.",
        BUILT_IN;
    TPL_HIDDEN "HF-TPL-008" Medium requires NoChatTemplate: "Text that does not show in a chat template",
        "Invisible or direction-changing characters: the model reads something that people who look at the template do not.",
        BUILT_IN;
    TPL_EXHAUSTS "HF-TPL-009" Medium requires NoChatTemplate: "A chat template that takes too long",
        "Rendered with an ordinary conversation it passes the bounds on steps or text, and would stop every chat.",
        BUILT_IN;
    TPL_FAILS "HF-TPL-010" Low: "A chat template that does not work here",
        "Rendered with ordinary conversations it fails each time. The engine uses a built-in template for it.",
        NOTHING;
    TPL_GROWS "HF-TPL-011" Medium requires NoChatTemplate: "A chat template that makes too much of a long conversation",
        "The text that it makes, or keeps meanwhile, grows much faster than the conversation does. Short chats work, and long ones take all memory \
         and time there is.",
        BUILT_IN;
    TPL_IMMENSE "HF-TPL-012" Medium requires NoChatTemplate: "A chat template that computes what can become immense",
        "It computes a power, or repeats a text or a list as often as it likes, which can take for ever. It was read to its end and not run. \
         The model may be used, its template may not.",
        BUILT_IN;

    ST_TRUNCATED "HF-ST-001" High: "The file ends inside its header",
        "The header claims to be longer than the file.",
        AGAIN;
    ST_HEADER_SIZE "HF-ST-002" High: "An oversized header",
        "A safetensors header may have at most 100 000 000 bytes. Readers that do not check run out of memory.",
        REMAKE;
    ST_HEADER_START "HF-ST-003" High: "The header does not begin with `{`",
        "The specification asks for it, so that a safetensors file cannot pass for something else.",
        REMAKE;
    ST_JSON "HF-ST-004" High: "The header is not strict JSON",
        "Readers repair broken JSON in different ways, so one could be checked and another used.",
        REMAKE;
    ST_DUPLICATE "HF-ST-005" High: "A name appears twice in the header",
        "Readers disagree which of the two counts, so one could be checked and the other used.",
        REMAKE;
    ST_FIELD "HF-ST-006" High: "An unknown field in a tensor's entry",
        "An entry has `dtype`, `shape` and `data_offsets` and nothing else.",
        REMAKE;
    ST_ENTRY "HF-ST-007" High: "A malformed tensor entry",
        "A field is missing or is not of the kind that the specification asks for.",
        REMAKE;
    ST_DTYPE "HF-ST-008" High: "An unknown element type",
        "The `dtype` is none of the types that the safetensors library defines.",
        REMAKE;
    ST_SHAPE "HF-ST-009" High: "An impossible tensor shape",
        "The number of elements is larger than any computer can address. Readers that multiply without care write beyond their memory.",
        REMAKE;
    ST_SIZE "HF-ST-010" High: "Shape and size disagree",
        "The bytes of the tensor are more or fewer than its shape and element type need.",
        REMAKE;
    ST_SUBBYTE "HF-ST-011" High: "A tensor ends within a byte",
        "Elements smaller than a byte must fill whole bytes together.",
        REMAKE;
    ST_OFFSETS "HF-ST-012" High: "A tensor ends before it begins",
        "The second of its `data_offsets` is smaller than the first.",
        REMAKE;
    ST_OVERLAP "HF-ST-013" High: "Tensors overlap",
        "Two tensors claim the same bytes.",
        REMAKE;
    ST_HOLE "HF-ST-014" High: "Unused bytes between tensors",
        "Every byte after the header must belong to a tensor. A hole is a hiding place.",
        REMAKE;
    ST_DATA_TRUNCATED "HF-ST-015" High: "The file ends before its tensors do",
        "Data that the header promises is missing.",
        AGAIN;
    ST_TRAILING "HF-ST-016" High: "Bytes after the last tensor",
        "They belong to nothing in the file. Something was appended.",
        REMAKE;
    ST_METADATA "HF-ST-017" High: "Metadata that is not text",
        "`__metadata__` may only map text to text.",
        REMAKE;
    ST_PADDING "HF-ST-018" High: "Padding of the header that is not spaces",
        "After the JSON only spaces may follow; anything else is hidden there.",
        REMAKE;
    ST_ALIGNMENT "HF-ST-019" Info: "The data does not begin at a multiple of 8",
        "Early versions of the safetensors library wrote such files. They load a little slower.",
        NOTHING;
    ST_COUNT "HF-ST-020" High: "Too many tensors",
        "The header lists more than any real model has. Readers that believe it run out of memory.",
        REMAKE;
    ST_NAME "HF-ST-021" Low: "A name with characters that do not show",
        "Invisible, control or direction-changing characters make a name look like another.",
        NOTHING;
    ST_NO_TENSORS "HF-ST-022" Low: "No tensors",
        "The file has a header only. It cannot be used as a model.",
        NOTHING;
    ST_ELEMENT_ALIGNMENT "HF-ST-023" Info: "A tensor that is not aligned to its elements",
        "Its data does not begin at a multiple of its element size. It loads a little slower.",
        NOTHING;
    ST_SCRIPT "HF-ST-024" High: "A program in the metadata",
        "Metadata describes a model. Commands and program text in it wait for a page, a tool or a person that runs them.",
        REMAKE;
    ST_LONG "HF-ST-025" High: "A text in the metadata that is too long",
        "Keys are names, and the longest texts that tools write there are far below what is looked at. What was not looked at cannot be admitted.",
        REMAKE;

    PKL_DANGEROUS "HF-PKL-001" Critical: "A pickle that takes control",
        "Loading it would import, and perhaps call, something that runs commands or code, opens files or connections, or loads \
         further pickles. No model needs that.",
        "Do not load this file anywhere. Tell whoever offers it.";
    PKL_IMPORT "HF-PKL-002" High: "A pickle that imports what weights do not need",
        "Loading a pickle imports and calls whatever it names. Only a short list of constructors that weights are made of is \
         accepted; a class of the publisher's own code, or of a library, is not on it.",
        CONVERT;
    PKL_ARGUMENTS "HF-PKL-003" High: "A constructor with arguments that no writer gives it",
        "What is called is harmless with the arguments that weights need, but not with any.",
        REMAKE;
    PKL_COMPUTED "HF-PKL-004" High: "An import whose name cannot be told",
        "Writers of pickles write the names of what is imported into the file. A name that is the result of a computation hides it.",
        REMAKE;
    PKL_EXTENSION "HF-PKL-005" High: "An extension code",
        "It stands for something that the reading program has registered, which the file cannot know and nobody can check.",
        REMAKE;
    PKL_OUTSIDE "HF-PKL-006" High: "A reference to something outside of the pickle",
        "Of what a reader fetches from elsewhere, only the storages of tensors are accepted, each with one type and size.",
        REMAKE;
    PKL_CALLEE "HF-PKL-007" High: "A call of something that is not imported by name",
        "The pickle calls the result of a computation. No writer of weights does.",
        REMAKE;
    PKL_STATE "HF-PKL-008" High: "State or items given to what has none",
        "Setting attributes or items runs code of the object that gets them, or changes a class or a module for everybody.",
        REMAKE;
    PKL_BROKEN "HF-PKL-009" High: "A broken pickle",
        "Every reader gives up there. What comes before has already happened by then.",
        AGAIN;
    PKL_TRUNCATED "HF-PKL-010" High: "The pickle does not end",
        "The file ends before the pickle, or before the storages or arrays that belong to it. What comes before still happens.",
        AGAIN;
    PKL_FRAME "HF-PKL-011" High: "Frames that readers take differently",
        "A frame says how many bytes of opcodes follow. Some readers keep to it and some do not, so that one could be checked and \
         another used.",
        REMAKE;
    PKL_TRAILING "HF-PKL-012" High: "Bytes after the end of a pickle",
        "They belong to nothing in the file. Something was appended.",
        REMAKE;
    PKL_EXPANSION "HF-PKL-013" High: "A pickle that grows when it is loaded or looked at",
        "A few bytes refer to each other so often, or to places so far apart, that loading, comparing or printing the result takes \
         more memory or time than any computer has.",
        REMAKE;
    PKL_LIMIT "HF-PKL-014" High: "A pickle that is too complex to follow",
        "It keeps more objects, imports or nested parts at once than an inspection follows. What was not seen cannot be admitted.",
        CONVERT;
    PKL_MEMO "HF-PKL-015" Low: "A memo entry that is stored twice",
        "Writers count upwards. Storing an entry again can be meant to confuse programs that check the file; the inspection follows it.",
        NOTHING;
    PKL_ADMITTED "HF-PKL-016" Low: "A pickle of weights and plain data",
        "Its effects are only weights and plain data, but the engine here does not load pickles, and whatever does load them has \
         to trust this inspection.",
        "Convert it to safetensors, which cannot do anything when it is loaded.";
    PKL_LEGACY "HF-PKL-017" High: "PyTorch's old format, malformed",
        "Its five pickles and the storages after them must agree on keys, types and sizes.",
        REMAKE;
    PKL_PADDING "HF-PKL-018" High: "Padding before an array that joblib does not write",
        "joblib fills up to the alignment with one fixed value; anything else is hidden there.",
        REMAKE;
    PKL_EMBEDDED "HF-PKL-019" High: "A pickle within the data",
        "A text or byte string is itself a pickle, perhaps as base64 or in hexadecimal. Loading the file does not run it, but weights \
         have no use for it, and whatever unpacks it later runs what nobody inspected.",
        REMAKE;
    PKL_LEFTOVER "HF-PKL-020" High: "Objects that are not part of the result",
        "Writers of pickles leave exactly one object at the end. What is made besides is only made for what happens then.",
        REMAKE;

    DOC_MALFORMED "HF-DOC-001" High: "The document is malformed",
        "It is not JSON as the standard has it, so programs may read it differently or not at all.",
        AGAIN;
    DOC_DUPLICATE "HF-DOC-002" High: "A member is there twice",
        "Which of two members with one name counts depends on the program, so one can be shown and the other used.",
        REMAKE;
    DOC_CODE "HF-DOC-003" High: "The document has a loader run code",
        "It names a class, a function or a module that the loading program imports or calls: code from the model's own directory, from \
         another repository, or any that is installed.",
        "Do not load the model with this document. Look at the code that it names, or get a version of the model that needs none.";
    DOC_PATH "HF-DOC-004" High: "The document names a file outside of the model's directory",
        "A loader opens the files that it lists. These lie elsewhere on the machine or in a network.",
        HARMFUL;
    DOC_HIDDEN "HF-DOC-005" High: "Characters that deceive",
        "The document holds characters that turn the direction of the text around them, or an invisible alphabet in which a model can be told \
         what no person sees.",
        REMAKE;
    DOC_TOO_LONG "HF-DOC-006" High: "A text is too long to be judged",
        "Chat templates and settings are judged as a whole, up to a size that ordinary ones stay far below.",
        REMAKE;
    DOC_NOT_TEXT "HF-DOC-007" High: "A text that is not all text",
        "It holds bytes that no text in UTF-8 has.",
        AGAIN;
    DOC_PROGRAM "HF-DOC-008" High: "Program code",
        "Code that lies beside a model is run by loaders when a configuration names it.",
        "Remove it, unless you have read it and mean to run it yourself.";
    DOC_TEMPLATE "HF-DOC-010" High: "A template that cannot be judged",
        "The document holds a template that cannot be read here. Another program may read it all the same, and then nobody has looked at it.",
        "Get another version of the model, or remove the template.";
    DOC_ADMITTED "HF-DOC-009" Low: "A document that goes with a model",
        "It was read whole and names no code, no files elsewhere and nothing that hides. It is not a model and cannot be admitted as one.",
        NOTHING;
    DOC_INVISIBLE "HF-DOC-011" Low: "Characters that do not show",
        "The document holds invisible characters. Word processors and web pages leave some behind; they can also make two names look the \
         same.",
        NOTHING;
    DOC_ELSEWHERE "HF-DOC-012" Low: "The document names something elsewhere on the machine",
        "It holds a path outside of the model's directory, mostly left over from the machine it was made on. A loader may look there and \
         use what it finds.",
        "Make sure that nothing you do not know lies at that path, or remove the entry.";
    DOC_INSTALLS "HF-DOC-013" Low: "A list of software to install",
        "Whoever hands it to an installer runs the code of everything it names. Holdfast does not, and the model does not need it here.",
        "Install nothing from it without having looked at what it names.";
    DOC_FETCHES "HF-DOC-014" High: "A list that has software fetched from an address of its own",
        "Instead of the usual index of packages it names another server, a repository or a file, so that an installer runs code that \
         nobody else has looked at.",
        "Remove the list: the model does not need it here.";
    DOC_PATTERN "HF-DOC-015" High: "A search pattern that can take for ever",
        "Tokenizers and adapters run the search patterns of their configuration. One with a loop that reads the same text in many ways tries them \
         all when it does not match: a line of some dozen characters then keeps the program busy for years. A pattern that cannot be followed is \
         refused as well.",
        REMAKE;
    DOC_LAYERS "HF-DOC-016" High: "An adapter that makes a model of very many layers",
        "The configuration has a loader put ranges of layers after each other, each a part of the model in memory. More than a few hundred are of \
         no use, and so many can take all of the machine's memory.",
        REMAKE;
    SEC_CREDENTIAL "HF-SEC-001" Low: "What looks like a credential",
        "Somebody may have left a key or a token in the document. It does not make the model dangerous to you.",
        "Tell the publisher. If it is yours, revoke it.";

    ZIP_DIRECTORY "HF-ZIP-001" High: "The archive's directory cannot be used",
        "The list of members at the end of the archive is missing, malformed, too large or contradicts itself, so programs may disagree on \
         what the archive holds.",
        AGAIN;
    ZIP_END "HF-ZIP-002" High: "The archive does not end where it should",
        "Programs search for an archive's directory from its end. Where a comment or other bytes follow, some find another directory than \
         others, or none.",
        AGAIN;
    ZIP_DISAGREES "HF-ZIP-003" High: "The archive says two things about a member",
        "Each member is described twice, before its data and in the directory. Where the two differ, a checking program and a loading \
         program can be shown different content.",
        REMAKE;
    ZIP_LAYOUT "HF-ZIP-004" High: "Members overlap, or something lies between them",
        "An archive's members follow each other without gaps. Overlapping members unpack to far more than the file's size, and gaps hide \
         what no list shows.",
        REMAKE;
    ZIP_NAME "HF-ZIP-005" High: "A member's name is dangerous or ambiguous",
        "Names that lead out of the directory they are unpacked to overwrite other files; names that programs read in different ways hide \
         what is unpacked.",
        HARMFUL;
    ZIP_DUPLICATE "HF-ZIP-006" High: "Two members have the same name",
        "Which of them is loaded depends on the program, so one can be shown and the other used.",
        REMAKE;
    ZIP_LINK "HF-ZIP-007" High: "A member is no ordinary file",
        "Links, devices and programs with special rights have no place in a model; unpacked, they reach beyond their directory.",
        HARMFUL;
    ZIP_ENCRYPTED "HF-ZIP-008" High: "A member is encrypted",
        "What cannot be read cannot be checked.",
        "Decrypt it on a machine you can afford to lose, and hand in what was inside.";
    ZIP_METHOD "HF-ZIP-009" High: "A member is packed in a way that is not supported",
        "Only stored and deflated members are read; models use no others.",
        "Unpack it on another machine and pack it again with a common program.";
    ZIP_DATA "HF-ZIP-010" High: "A member's content is damaged",
        "Its bytes do not unpack, or are not those that the size and the checksum in the archive are about.",
        AGAIN;
    ZIP_BOMB "HF-ZIP-011" High: "Too much comes out of the archive",
        "A small archive that unpacks to an immense amount of data is made to exhaust whoever opens it.",
        REMAKE;
    ZIP_EXTRA "HF-ZIP-012" High: "A member carries a second description",
        "Extra fields and comments can give a member another name or a cipher, which some programs heed and others do not.",
        REMAKE;
    ZIP_NESTED "HF-ZIP-013" High: "An archive within an archive cannot be looked into",
        "It is too large to be held, or lies too deep.",
        "Unpack it on another machine and hand in the model file.";
    ZIP_CHANGED "HF-ZIP-014" High: "The archive changed while it was inspected",
        "Its directory was read first, and was another one when the inspection came to it.",
        RETRY;
    ZIP_ADMITTED "HF-ZIP-015" Low: "An archive whose members were all inspected",
        "Every member was unpacked and inspected, and nothing was found in them that refuses the file.",
        NOTHING;

    TAR_HEADER "HF-TAR-001" High: "A malformed description of a member",
        "What the archive says about a member cannot be read, or can be read in two ways, so programs may unpack different things.",
        AGAIN;
    TAR_NAME "HF-TAR-002" High: "A member's name is dangerous or ambiguous",
        "Names that lead out of the directory they are unpacked to overwrite other files; of two members with the same name, it depends on \
         the program which one is used.",
        HARMFUL;
    TAR_LINK "HF-TAR-003" High: "A member is no ordinary file",
        "Links and devices have no place in a model; unpacked, they reach beyond their directory.",
        HARMFUL;
    TAR_PADDING "HF-TAR-004" High: "Something is hidden between or after the members",
        "The space that fills a member up to a whole block, and what follows the archive's end, is empty in archives that ordinary tools make.",
        REMAKE;
    TAR_TRUNCATED "HF-TAR-005" High: "The archive is cut off",
        "It ends before the blocks that mark its end.",
        AGAIN;
    TAR_ADMITTED "HF-TAR-006" Low: "An archive whose members were all inspected",
        "Every member was inspected, and nothing was found in them that refuses the file.",
        NOTHING;

    SEVENZIP_HEADER "HF-7Z-001" High: "The archive's header cannot be used",
        "The list of files at the end of the archive is missing, malformed or contradicts itself, or something lies beside it, so programs may \
         disagree on what the archive holds.",
        AGAIN;
    SEVENZIP_LIMIT "HF-7Z-002" High: "The archive has more of something than is followed",
        "Models come in a few files. A list of very many, or with very long names, is made to exhaust whoever reads it.",
        "Unpack it on another machine and hand in the model file.";
    SEVENZIP_METHOD "HF-7Z-003" High: "The archive is packed in a way that is not supported",
        "LZMA, LZMA2, Deflate, bzip2 and copies are read, at most with the filter that py7zr always uses. Other methods and chains of filters \
         are rare, and programs differ in which of them they know.",
        "Unpack it on another machine and pack it again with the ordinary settings of 7-Zip.";
    SEVENZIP_ENCRYPTED "HF-7Z-004" High: "The archive is encrypted",
        "What cannot be read cannot be checked.",
        "Decrypt it on a machine you can afford to lose, and hand in what was inside.";
    SEVENZIP_NAME "HF-7Z-005" High: "A file's name is dangerous or ambiguous",
        "Names that lead out of the directory they are unpacked to overwrite other files; of two files with the same name, it depends on \
         the program which one is used.",
        HARMFUL;
    SEVENZIP_LINK "HF-7Z-006" High: "A file is no ordinary file",
        "Links, devices and programs with special rights have no place in a model; unpacked, they reach beyond their directory.",
        HARMFUL;
    SEVENZIP_DATA "HF-7Z-007" High: "A file's content is damaged",
        "Its bytes do not unpack, or are not those that the sizes and the checksum in the header are about.",
        AGAIN;
    SEVENZIP_CHANGED "HF-7Z-008" High: "The archive changed while it was inspected",
        "Its header was read first, and was another one when the inspection came to it.",
        RETRY;
    SEVENZIP_ADMITTED "HF-7Z-009" Low: "An archive whose files were all inspected",
        "Every file was unpacked and inspected, and nothing was found in them that refuses the archive.",
        NOTHING;
    SEVENZIP_DIRECTORY "HF-7Z-010" High: "A directory to some programs and none to others",
        "Some programs tell a directory by its attributes, others by its having no content. Where the two differ, they unpack different things.",
        "Pack it again with the ordinary settings of 7-Zip, which writes the attributes.";

    CMP_DATA "HF-CMP-001" High: "The compressed data is damaged",
        "It does not unpack, its checksum is wrong, or something follows it.",
        AGAIN;
    CMP_ADMITTED "HF-CMP-002" Low: "A compressed file whose content was inspected",
        "Everything that comes out of it was inspected, and nothing was found that refuses the file.",
        NOTHING;

    CMP_MEMORY "HF-CMP-003" High: "Unpacking takes more memory than an inspection has",
        "Compressed data refers to what came before it, and this refers too far back: more than 32 MiB in xz, LZMA and 7z, 8 MiB in \
         Zstandard, or more than there is left where compressed files lie in each other.",
        "Unpack it on another machine, or compress it again with an ordinary setting, such as `xz -6` or `zstd -19`.";
    CMP_UNSUPPORTED "HF-CMP-004" High: "A part of a compression that ordinary files do not have",
        "Filters for machine code, dictionaries in other files, or parts that readers skip: what comes out could not be inspected \
         as other readers see it.",
        "Unpack it on another machine and hand in what is inside.";

    TS_EFFECT "HF-TS-001" Critical: "A TorchScript program that reaches out of itself",
        "It uses an operator that reads or writes files, talks to other processes or works on memory that is not checked. Models need \
         none of them.",
        HARMFUL;
    TS_OPERATOR "HF-TS-002" High: "A TorchScript program with operators that PyTorch does not have",
        "It needs a library of its publisher's, whose operators and classes are machine code that can do anything.",
        CONVERT;
    TS_SOURCE "HF-TS-003" High: "A TorchScript program that cannot be followed",
        "Its source is not written as PyTorch writes it: names are computed, modules are used as values, or texts do not end.",
        REMAKE;
    TS_ADMITTED "HF-TS-004" Low: "A TorchScript program of operators that compute",
        "It is a program, which PyTorch's interpreter runs without Python. Every operator that it names was compared with those of PyTorch, \
         and none uses files, other processes or machine code of the publisher's. What it computes was not looked at, and it can still \
         run for as long and take as much memory as it likes. The engine here does not run such programs.",
        "Give it bounds on time and memory where it runs, or ask for the weights as safetensors.";

    PT_STRAY "HF-PT-001" High: "Something else in a PyTorch checkpoint",
        "A checkpoint holds one pickle, the numbers that it names and notes about the format. Anything else is read by some programs only, \
         or is code.",
        CONVERT;
    PT_STORAGE "HF-PT-002" High: "Numbers that a PyTorch checkpoint names are missing or of another size",
        "The pickle says which storages there are and how large they are; the archive has others.",
        AGAIN;
    PT_UNUSED "HF-PT-003" High: "Numbers that the PyTorch checkpoint does not use",
        "The archive carries data that belongs to no tensor. Ordinary tools do not make such files.",
        REMAKE;
    PT_NOTE "HF-PT-004" High: "A strange note in a PyTorch checkpoint",
        "The texts beside the pickle say which version it is of and in which order the bytes of numbers are. Other content means that the \
         file cannot be read as intended, or that it carries something else.",
        REMAKE;

    NPY_HEADER "HF-NPY-001" High: "A malformed NumPy header",
        "The header is a Python dictionary with an element type, an order and a shape and nothing else, in a version that exists.",
        REMAKE;
    NPY_DTYPE "HF-NPY-002" High: "An unknown NumPy element type",
        "The element type is none that NumPy writes.",
        REMAKE;
    NPY_SHAPE "HF-NPY-003" High: "An impossible NumPy shape",
        "The number of elements or bytes is larger than any computer can address.",
        REMAKE;
    NPY_TRUNCATED "HF-NPY-004" High: "The file ends before its array does",
        "Data that the header promises is missing.",
        AGAIN;
    NPY_TRAILING "HF-NPY-005" High: "Bytes after the array",
        "They belong to nothing in the file. Something was appended.",
        REMAKE;
    NPY_OBJECTS "HF-NPY-006" Low: "A NumPy array of Python objects",
        "Its elements are a pickle, which is inspected like any other. Current NumPy loads such arrays only when told to.",
        "Store the data as an array of numbers.";
    NPY_ADMITTED "HF-NPY-007" Low: "A NumPy array",
        "It is well formed, but the engine here cannot use it as a model.",
        NOTHING;

    ONNX_BROKEN "HF-ONNX-001" High: "A broken ONNX model",
        "The bytes are not a complete ONNX model, or are written in a way that programs read differently.",
        AGAIN;
    ONNX_PATH "HF-ONNX-002" High: "Numbers are to be read from somewhere else on the computer",
        "An ONNX model may keep its numbers in a file beside it. The path in this one leads out of the model's directory, to the network or \
         into the memory of the program, so that loading it could read what is none of its business.",
        HARMFUL;
    ONNX_EXTERNAL "HF-ONNX-003" High: "The model's numbers are in another file",
        "The file only describes the model. The numbers that it computes with are read from elsewhere when it is loaded, and Holdfast, which \
         inspects and remembers one file, could not notice if they were exchanged.",
        "Save the model as a single file: `onnx.save_model` with `save_as_external_data=False` does it for models below 2 GB.";
    ONNX_EXTERNAL_ENTRY "HF-ONNX-004" High: "The place of a tensor's data is contradictory",
        "Where the numbers of a tensor are is said by a path, an offset and a length. Missing, repeated or malformed ones are understood \
         differently by each program.",
        REMAKE;
    ONNX_EFFECT "HF-ONNX-005" Critical: "An operator that reaches out of the model",
        "Running the model would run code that is not part of it, use files, or send data to a service. A model only has to compute.",
        HARMFUL;
    ONNX_CUSTOM "HF-ONNX-006" High: "An operator that needs a program of its own",
        "The operator is neither part of the standard nor defined in the model. Whoever wants to run the model has to load a library from the \
         publisher, and that is a program which nobody inspected.",
        "Ask the publisher for a version that only uses standard operators.";
    ONNX_UNKNOWN "HF-ONNX-007" High: "An operator without a readable name",
        "What a step of the model does cannot be told.",
        REMAKE;
    ONNX_RUNTIME "HF-ONNX-008" Low: "Operators that only ONNX Runtime has",
        "They are built into ONNX Runtime and do nothing but compute. Other programs cannot run the model.",
        NOTHING;
    ONNX_TYPE "HF-ONNX-009" High: "An unknown element type",
        "The type of a tensor's numbers is missing or none that ONNX has, so nobody can say how many bytes belong to it.",
        REMAKE;
    ONNX_SHAPE "HF-ONNX-010" High: "An impossible shape",
        "A tensor has a negative size or more elements than any computer can address. Programs that multiply without care reserve too little \
         memory and then write beyond it.",
        REMAKE;
    ONNX_SIZE "HF-ONNX-011" High: "A tensor's data does not fit its shape",
        "There are more or fewer numbers than shape and type ask for. Readers that trust the shape read beyond the data; readers that do not \
         leave something over.",
        REMAKE;
    ONNX_DUPLICATE "HF-ONNX-012" High: "Two tensors have the same name",
        "Which of them the model computes with depends on the program, so one could be checked and the other used.",
        REMAKE;
    ONNX_ATTRIBUTE "HF-ONNX-013" High: "A parameter that says two things",
        "Each parameter of a step has one value of one type. Where they disagree, programs take different ones.",
        REMAKE;
    ONNX_REPEATED "HF-ONNX-014" High: "Something that there can only be one of occurs twice",
        "Programs take the first, the last or a mixture of both, so one could be checked and the other used.",
        REMAKE;
    ONNX_FIELD "HF-ONNX-015" Low: "A field that ONNX does not have",
        "Programs pass over it. It may come from a later version, or be something that was put there.",
        NOTHING;
    ONNX_HIDDEN "HF-ONNX-016" High: "Data in fields that ONNX does not have",
        "So much lies where no program looks that it can be a file of its own.",
        REMAKE;
    ONNX_TEXT "HF-ONNX-017" Low: "A text with characters that do not show",
        "Invisible or direction-changing characters, or bytes that are no text, make a name or a description look like another.",
        NOTHING;
    ONNX_INCOMPLETE "HF-ONNX-018" High: "Not a complete ONNX model",
        "A model has a graph, and says which version of the format and of the operators it is written for.",
        AGAIN;
    ONNX_VERSION "HF-ONNX-019" High: "An unknown version of ONNX",
        "The file is written for a version that came after this release of Holdfast. What is new in it could not be checked.",
        "Save the model for an earlier version, or use a newer Holdfast.";
    ONNX_LIMIT "HF-ONNX-020" High: "An ONNX model that is too complex to follow",
        "It has more parts than an inspection remembers. What was not seen cannot be admitted.",
        CONVERT;
    ONNX_ADMITTED "HF-ONNX-021" Low: "An ONNX model",
        "It is well formed and needs nothing but itself, but the engine here cannot use it.",
        NOTHING;

    TF_BROKEN "HF-TF-001" High: "A broken TensorFlow model",
        "The bytes are not a complete TensorFlow graph, or are written in a way that programs read differently.",
        AGAIN;
    TF_EFFECT "HF-TF-002" Critical: "An operator that reaches out of the model",
        "A TensorFlow graph is a program. Running this one would write or read files, run Python, or talk to other computers. A model only has \
         to compute.",
        HARMFUL;
    TF_FILES "HF-TF-003" High: "An operator that reads files",
        "The graph opens files when it runs. That is meant for training data and word lists, but the name of the file is up to whoever made the \
         model.",
        "Ask the publisher for a version that is only for inference and has its word lists built in.";
    TF_SAVER "HF-TF-004" High: "The graph saves or loads where it wants",
        "Every SavedModel has steps that save and load its numbers, at a place that the program which runs it chooses. Here the place comes from \
         the model itself, which could so overwrite files.",
        HARMFUL;
    TF_UNKNOWN "HF-TF-005" High: "An operator that TensorFlow does not have",
        "Whoever wants to run the model has to load a library from the publisher, and that is a program which nobody inspected.",
        "Ask the publisher for a version that only uses TensorFlow's own operators.";
    TF_ELSEWHERE "HF-TF-006" High: "The model's numbers are in other files",
        "The file only describes the model. The numbers or word lists that it computes with are read from files beside it, and Holdfast, which \
         inspects and remembers one file, could not notice if they were exchanged.",
        "Hand in the whole directory, so that all files are judged together; or freeze the graph, so that its variables become constants, or \
         convert the model to safetensors.";
    TF_ASSET "HF-TF-007" High: "A file beside the model is named by a path that leads elsewhere",
        "Files that belong to a SavedModel lie in its directory. This path leads out of it, so that loading the model could read what is none of \
         its business.",
        HARMFUL;
    TF_LAMBDA "HF-TF-008" Critical: "A Keras layer with Python code in it",
        "A Lambda layer keeps a function as compiled Python, which Keras runs when it loads the model or uses it.",
        HARMFUL;
    TF_METADATA "HF-TF-009" High: "A description for Keras that cannot be read",
        "Keras rebuilds layers from this text, and some kinds of layers are code. What cannot be read cannot be checked.",
        REMAKE;
    TF_SIZE "HF-TF-010" High: "A tensor's data does not fit its shape",
        "A constant has an impossible shape, an unknown type, or more numbers than shape and type ask for.",
        REMAKE;
    TF_DUPLICATE "HF-TF-011" High: "Two steps or functions have the same name",
        "Which of them runs depends on the program, so one could be checked and the other used.",
        REMAKE;
    TF_REPEATED "HF-TF-012" High: "Something that there can only be one of occurs twice",
        "Programs take the first, the last or a mixture of both, so one could be checked and the other used.",
        REMAKE;
    TF_FIELD "HF-TF-013" Low: "A field that TensorFlow does not have",
        "Programs pass over it. It may come from a later version, or be something that was put there.",
        NOTHING;
    TF_HIDDEN "HF-TF-014" High: "Data in fields that TensorFlow does not have",
        "So much lies where no program looks that it can be a file of its own.",
        REMAKE;
    TF_TEXT "HF-TF-015" Low: "A name with characters that do not show",
        "Invisible or direction-changing characters, or bytes that are no text, make a name look like another.",
        NOTHING;
    TF_LIMIT "HF-TF-016" High: "A graph that is too complex to follow",
        "It has more parts than an inspection remembers. What was not seen cannot be admitted.",
        CONVERT;
    TF_ADMITTED "HF-TF-017" Low: "A TensorFlow graph",
        "It is well formed and only computes, but the engine here cannot use it.",
        NOTHING;
    TF_INDEX "HF-TF-018" High: "An index of variables that are in other files",
        "The file only says where each variable is. Holdfast, which inspects and remembers one file, could not notice if the others were exchanged.",
        "Hand in the whole directory, so that all files are judged together, or convert the model to safetensors.";

    H5_BROKEN "HF-H5-001" High: "A broken HDF5 file",
        "A part of the file's structure is not what the format has there, or a checksum is wrong. Readers in C that trust it read or write beyond \
         their memory.",
        AGAIN;
    H5_USER_BLOCK "HF-H5-002" High: "Something before an HDF5 file",
        "Readers search for the beginning of an HDF5 file and pass over what is before it. Models have nothing there.",
        REMAKE;
    H5_VERSION "HF-H5-003" High: "A part of HDF5 that is not followed",
        "The file uses a feature that models do not have or that came later, so that not all of it could be inspected.",
        "Save the weights again with Keras or with h5py and its default settings (`libver='earliest'`).";
    H5_TRUNCATED "HF-H5-004" High: "The file ends before its data does",
        "Parts of the file lie beyond its end.",
        AGAIN;
    H5_TRAILING "HF-H5-005" High: "Bytes after the end of an HDF5 file",
        "The file says where it ends, and more follows. Something was appended.",
        REMAKE;
    H5_OVERLAP "HF-H5-006" High: "Two parts of an HDF5 file claim the same bytes",
        "What one program reads as numbers another reads as structure. No writer makes such files.",
        REMAKE;
    H5_GAP "HF-H5-007" Low: "Left-overs in an HDF5 file",
        "Some bytes belong to nothing in the file. HDF5 leaves such places where something became larger or was deleted.",
        NOTHING;
    H5_HIDDEN "HF-H5-008" High: "Data that belongs to nothing in an HDF5 file",
        "So much lies where no program looks that it can be a file of its own.",
        "Write the file again, for example with `h5repack`, which leaves out what belongs to nothing.";
    H5_EXTERNAL "HF-H5-009" High: "Numbers are to be read from somewhere else on the computer",
        "HDF5 can name other files, by any path, from which numbers are read when the model is loaded. So a model could read what is none of its \
         business.",
        HARMFUL;
    H5_LINK "HF-H5-010" High: "Links that lead nowhere or in circles",
        "Groups of an HDF5 file form a tree in every model. Programs that follow other links do not come to an end, or read something else than was \
         inspected.",
        REMAKE;
    H5_REFERENCE "HF-H5-011" High: "References between parts of an HDF5 file",
        "Elements that stand for other parts of the file, or for lists of any length, are no weights and are followed in ways that nobody can check.",
        CONVERT;
    H5_TYPE "HF-H5-012" High: "An element type that models do not have",
        "Weights are numbers of a fixed size. Other types are not understood well enough to say how many bytes belong to them.",
        CONVERT;
    H5_FILTER "HF-H5-013" High: "Data that a plug-in unpacks",
        "HDF5 loads a library from the disk for each way of packing that is not its own. Only zlib, its rearrangement of bytes and its checksum \
         are accepted.",
        "Write the file again with gzip compression or none, for example with `h5repack`.";
    H5_SHAPE "HF-H5-014" High: "An impossible shape in an HDF5 file",
        "The number of elements or bytes is larger than any computer can address.",
        REMAKE;
    H5_SIZE "HF-H5-015" High: "Shape and data of a dataset disagree",
        "There are fewer or more bytes in the file than shape and type ask for. Readers reserve memory by the shape, so that a small file can use \
         up all of it.",
        REMAKE;
    H5_DATA "HF-H5-016" High: "Damaged data in an HDF5 file",
        "A packed piece of a dataset does not unpack, or to another size than it must have.",
        AGAIN;
    H5_BOMB "HF-H5-017" High: "An HDF5 file that becomes far larger",
        "Far more comes out of its packed data than its size can explain. Loading it takes all memory there is.",
        REMAKE;
    H5_DUPLICATE "HF-H5-018" High: "A name or a property is there twice in an HDF5 file",
        "Readers disagree which of the two counts, so one could be checked and the other used.",
        REMAKE;
    H5_NAME "HF-H5-019" Low: "A name in an HDF5 file with characters that do not show",
        "Invisible, control or direction-changing characters make a name look like another.",
        NOTHING;
    H5_LIMIT "HF-H5-020" High: "An HDF5 file that is too complex to follow",
        "It has more parts than an inspection remembers. What was not seen cannot be admitted.",
        CONVERT;
    H5_HELD "HF-H5-021" High: "An HDF5 file that cannot be read in one go",
        "HDF5 has its structure all over the file. One that comes as a stream, or compressed within an archive, must be small.",
        "Unpack it, and hand in the HDF5 file itself or an archive in which it is stored without compression, as Keras writes it.";
    H5_CHANGED "HF-H5-022" High: "The HDF5 file changed while it was read",
        "Its structure was not the same when its bytes went by. What was inspected may not be what is used.",
        "Make sure that nothing writes to the file, then try again.";
    H5_TEXT "HF-H5-023" Low: "Texts among the numbers of an HDF5 file",
        "Some datasets are texts. They are no weights, and nothing is done with them.",
        NOTHING;
    H5_ADMITTED "HF-H5-024" Low: "An HDF5 file of numbers",
        "It is well formed and needs nothing but itself, but the engine here cannot use it.",
        "Convert it to safetensors if you want to use the weights here.";
    H5_APART "HF-H5-025" High: "Packed data in pieces that are too large to be put in order",
        "The bytes of numbers were put apart before they were packed (`shuffle`), in pieces of more than 8 MiB. They cannot be put back in order as \
         they go by, so nobody would see what they hold.",
        "Write the file again with smaller pieces or without `shuffle`, for example with `h5repack -f GZIP=4`.";

    KERAS_CODE "HF-KERAS-001" Critical: "A Keras model with Python code in it",
        "Some layers keep a function as compiled Python or as a pickle, which Keras runs when it loads the model or uses it. In an `.h5` file \
         Keras's own safe mode does not stop that.",
        HARMFUL;
    KERAS_IMPORT "HF-KERAS-002" Critical: "A Keras model that names code outside of Keras",
        "Keras imports the modules and calls the functions that the description of a model names. These are not from Keras and not a layer of the \
         publisher's, but run commands, open files or connections.",
        HARMFUL;
    KERAS_GADGET "HF-KERAS-003" Critical: "A Keras model that calls what models have no use for",
        "The description names a function of Keras or TensorFlow that fetches or writes files, loads other models or switches off protection. A \
         model only has to compute.",
        HARMFUL;
    KERAS_CUSTOM "HF-KERAS-004" High: "A Keras model that needs a program of its own",
        "A layer or a function is none of Keras's own. Whoever wants to load the model has to run a program of the publisher's, which nobody \
         inspected.",
        "Ask the publisher for a version that only uses Keras's own layers, or for the weights as safetensors.";
    KERAS_FILE "HF-KERAS-005" High: "A Keras model that reads files",
        "A layer gets its words or its contents from a file that the description names. The name is up to whoever made the model, so that \
         loading it can read what is none of its business.",
        "Ask the publisher for a version that has its word lists built in.";
    KERAS_ADDRESS "HF-KERAS-006" High: "A Keras model that names an address",
        "The description of a model has no use for addresses in a network or on the disk. Layers that get one fetch what is there.",
        HARMFUL;
    KERAS_CONFIG "HF-KERAS-007" High: "A description for Keras that cannot be read",
        "Keras rebuilds layers from this text, and some kinds of layers are code. What cannot be read, or is there twice, cannot be checked.",
        REMAKE;
    KERAS_STRAY "HF-KERAS-008" High: "Something else in a Keras model",
        "A Keras archive holds a description, notes, the weights and lists of words. Anything else is read by nothing, or is code.",
        REMAKE;
    KERAS_INCOMPLETE "HF-KERAS-009" High: "Not a complete Keras model",
        "The description or the weights are missing.",
        AGAIN;
    KERAS_ADMITTED "HF-KERAS-010" Low: "A Keras model",
        "It only uses Keras's own layers and functions, but the engine here cannot run it.",
        NOTHING;
    SPM_BROKEN "HF-SPM-001" High: "A broken SentencePiece tokenizer",
        "The bytes are not a complete tokenizer, or are written in a way that programs read differently.",
        AGAIN;
    SPM_FIELD "HF-SPM-002" High: "Something in a tokenizer that SentencePiece does not have",
        "Programs pass over fields that they do not know, so anything can be hidden there.",
        REMAKE;
    SPM_REPEATED "HF-SPM-003" High: "A setting of a tokenizer is there twice",
        "Programs take the first, the last or a mixture of both, so one could be checked and the other used.",
        REMAKE;
    SPM_PIECE "HF-SPM-004" High: "A piece of a tokenizer that is none",
        "Each piece is a short text with a number that says how likely it is. Programs that split text by others stop or compute nonsense.",
        REMAKE;
    SPM_TEXT "HF-SPM-005" High: "A text in a tokenizer that is not all text",
        "It holds bytes that no text in UTF-8 has.",
        AGAIN;
    SPM_CHARSMAP "HF-SPM-006" High: "A table of characters that leads out of itself",
        "The table that replaces characters is walked and read without a look at where it leads. One that leads beyond its end makes a program \
         read what is none of the tokenizer's.",
        REMAKE;
    SPM_LIMIT "HF-SPM-007" High: "A tokenizer with too many pieces",
        "The largest tokenizers have some hundred thousand.",
        REMAKE;
    SET_LINK "HF-SET-001" High: "A link that leads out of the directory",
        "A link in the directory points to a file elsewhere. It was not followed: what it points to is none of the directory's business, and can \
         be exchanged without the directory changing.",
        "Put the file itself in the place of the link, or inspect the directory that it is in.";
    SET_REFUSED "HF-SET-002" High: "A file of the set is refused",
        "A model that is spread over several files is only as good as the worst of them.",
        "Read the report on that file.";
    SET_MISSING "HF-SET-003" High: "A part of the set is missing",
        "The set names a file that is not there. A loader would fetch it from elsewhere, or stop. What was not seen cannot be admitted.",
        "Download the whole model, and inspect its directory.";
    SET_COUNT "HF-SET-004" High: "The names of the parts do not add up",
        "The names say which part of how many a file is. Some are missing, or say different things.",
        "Download the whole model, and inspect its directory.";
    SET_PLACE "HF-SET-005" High: "A tensor is not where the index says",
        "Some loaders go by the index and some load every file, so the model depends on the program.",
        REMAKE;
    SET_TWICE "HF-SET-006" High: "A tensor is in two parts",
        "Which of the two counts depends on the program, so one could be checked and the other used.",
        REMAKE;
    SET_UNLISTED "HF-SET-007" High: "A tensor that the index does not list",
        "Loaders that go by the index pass over it, others use it.",
        REMAKE;
    SET_TOTAL "HF-SET-008" Low: "The index gives another size",
        "The number is for people only; tools that convert models leave the old one behind.",
        NOTHING;
    SET_NO_INDEX "HF-SET-009" Low: "Numbered parts without an index",
        "The files are all there and no tensor is in two of them. Some loaders need an index all the same.",
        NOTHING;
    SET_SPLIT "HF-SET-010" High: "The parts of a split model do not fit together",
        "Each part says which one it is, of how many, and how many tensors all of them have. Here they contradict their names or each other.",
        REMAKE;
    SET_RANGE "HF-SET-011" High: "A tensor's numbers are not all in the file beside the model",
        "The place that the model gives reaches beyond the file, or has another length than the tensor needs.",
        REMAKE;
    SET_GAP "HF-SET-012" High: "The file with a model's numbers holds something else",
        "Every byte must belong to a tensor of a model beside it, or be zero and fill up to the next one. Anything else is hidden there.",
        REMAKE;
    SET_EXTERNAL "HF-SET-013" Low: "The model's numbers are in a file beside it",
        "Both were inspected together. Only the two together are the model: keep them together, with their digests.",
        NOTHING;
    SET_DATA "HF-SET-014" Low: "Numbers of a model beside it",
        "Alone the file could be anything. Each of its bytes is part of a tensor of the model, or zero.",
        NOTHING;
    SET_PART "HF-SET-015" High: "A part of a pipeline that no pipeline has",
        "A part is a directory beside the description and the class that loads it. This one would be loaded from elsewhere, or by something that \
         is no class.",
        HARMFUL;
    SET_CODE "HF-SET-016" High: "Code that a configuration names lies beside it",
        "Loaders run it when they are told to trust the repository. It is a program which nobody inspected.",
        "Use a version of the model that current libraries load without code of its own.";
    SET_LIMIT "HF-SET-017" High: "A set that is too large to compare",
        "It has more tensors, names or files than an inspection remembers. What was not compared cannot be admitted.",
        CONVERT;
    SET_ADAPTER "HF-SET-018" Low: "The configuration of an adapter without its weights",
        "There is nothing to load yet.",
        NOTHING;
    SET_BLOB "HF-SET-019" High: "A cached file is not the one that it is kept as",
        "The cache of a download keeps large files under their SHA-256. This one has another: it was damaged or exchanged.",
        AGAIN;
    SET_GIT "HF-SET-020" High: "What Git keeps is in the directory",
        "A `.git` holds every version of every file in pieces of its own kind, and programs that Git runs. No loader needs it, and nothing \
         in it was looked at.",
        "Inspect a copy of the directory without `.git`, for example one that `git archive` or `hf download` makes.";
}

/// The text of `docs/findings.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Findings\n\n\
         <!-- Made from services/shared/formats/src/rules.rs: `cargo run --release -p holdfast-formats --example findings > docs/findings.md` -->\n\n\
         Every inspection ends in a report with findings. Ids are stable: a finding keeps its id when its text changes, and an id \
         is never used again for something else.\n\n\
         | severity | what follows |\n|---|---|\n\
         | `critical` | refused: the file carries something made to harm |\n\
         | `high` | refused: the file is malformed, or not what it claims to be |\n\
         | `medium` | admitted under a condition that whoever uses the file must keep to |\n\
         | `low` | admitted: unusual, or well formed but not usable with the engine here |\n\
         | `info` | admitted: worth knowing |\n",
    );
    let mut group = "";
    for rule in ALL {
        let prefix = rule.id.rsplit_once('-').map_or(rule.id, |(prefix, _)| prefix);
        if prefix != group {
            group = prefix;
            let _ = write!(page, "\n## {prefix}: {}\n", subject(prefix));
        }
        let severity = format!("{:?}", rule.severity).to_lowercase();
        let condition = match rule.condition {
            Some(Condition::NoTools) => ", condition `no-tools`",
            Some(Condition::NoChatTemplate) => ", condition `no-chat-template`",
            None => "",
        };
        let _ = write!(
            page,
            "\n### {}: {}\n\n`{severity}`{condition}. {}\n\n*What to do:* {}\n",
            rule.id, rule.title, rule.why, rule.advice
        );
    }
    page
}

fn subject(prefix: &str) -> &'static str {
    match prefix {
        "HF-IO" => "reading the file",
        "HF-POL" => "policies",
        "HF-FMT" => "what kind of file it is",
        "HF-SIG" => "programs and archives in the middle of a file",
        "HF-YAR" => "YARA rules",
        "HF-GGUF" => "GGUF files",
        "HF-TPL" => "chat templates",
        "HF-ST" => "safetensors files",
        "HF-PKL" => "Python pickles",
        "HF-NPY" => "NumPy arrays",
        "HF-ZIP" => "zip archives",
        "HF-DOC" => "documents that come with models",
        "HF-SEC" => "credentials in documents",
        "HF-TAR" => "tar archives",
        "HF-7Z" => "7z archives",
        "HF-CMP" => "compressed files",
        "HF-TS" => "TorchScript programs",
        "HF-PT" => "PyTorch checkpoints",
        "HF-ONNX" => "ONNX models",
        "HF-TF" => "TensorFlow graphs",
        "HF-H5" => "HDF5 files",
        "HF-KERAS" => "Keras models",
        "HF-SPM" => "SentencePiece tokenizers",
        "HF-SET" => "files that are one model together",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let ids: BTreeSet<_> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for id in ids {
            let parts: Vec<_> = id.split('-').collect();
            assert!(
                matches!(parts.as_slice(), ["HF", _, number] if number.len() == 3 && number.parse::<u16>().is_ok()),
                "{id}"
            );
            assert_ne!(subject(id.rsplit_once('-').unwrap().0), "other", "{id}");
        }
    }

    #[test]
    fn exactly_the_medium_rules_ask_for_a_condition() {
        for rule in ALL {
            assert_eq!(
                rule.severity == Severity::Medium,
                rule.condition.is_some(),
                "{}",
                rule.id
            );
        }
    }

    #[test]
    fn rules_are_found_by_id() {
        assert_eq!(find("HF-ST-016"), Some(&ST_TRAILING));
        assert_eq!(find("HF-ST-999"), None);
    }
}
