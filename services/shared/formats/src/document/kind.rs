//! What a JSON document is for, told by the names of its members.

/// A kind of JSON document that comes with models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A model's configuration.
    Model,
    /// A tokenizer's configuration.
    TokenizerConfig,
    /// A tokenizer with its vocabulary.
    Tokenizer,
    /// How text is generated.
    Generation,
    /// An adapter's configuration.
    Adapter,
    /// Which tensors are in which file.
    Index,
    /// A pipeline of several models.
    Pipeline,
    /// How pictures or sounds are prepared.
    Processor,
    /// The tokens with a special meaning.
    SpecialTokens,
    /// A chat template.
    Template,
    /// Layers and pooling of a sentence-embedding model.
    Modules,
    /// How a model was quantised.
    Quantization,
    /// What was measured while a model was trained.
    Training,
    /// A list of tokens with their numbers.
    Vocabulary,
    /// Numbers and words: labels, lists, results.
    Values,
    /// A Jupyter notebook: a program.
    Notebook,
}

/// A member's name that only one kind of document has.
const MARKS: &[(&str, Kind)] = &[
    ("nbformat", Kind::Notebook),
    ("cells", Kind::Notebook),
    ("weight_map", Kind::Index),
    ("peft_type", Kind::Adapter),
    ("_diffusers_version", Kind::Pipeline),
    ("_class_name", Kind::Pipeline),
    ("model_type", Kind::Model),
    ("architectures", Kind::Model),
    ("architecture", Kind::Model),
    ("model_cfg", Kind::Model),
    ("n_layers", Kind::Model),
    ("hidden_size", Kind::Model),
    ("d_model", Kind::Model),
    ("vocab_size", Kind::Model),
    ("num_hidden_layers", Kind::Model),
    ("torch_dtype", Kind::Model),
    ("block_out_channels", Kind::Model),
    ("latent_channels", Kind::Model),
    ("phoneme_id_map", Kind::Model),
    ("span_mode", Kind::Model),
    ("spacy_version", Kind::Model),
    ("context_length", Kind::Model),
    ("added_tokens_decoder", Kind::TokenizerConfig),
    ("tokenizer_class", Kind::TokenizerConfig),
    ("model_max_length", Kind::TokenizerConfig),
    ("added_tokens", Kind::Tokenizer),
    ("pre_tokenizer", Kind::Tokenizer),
    ("vocab", Kind::Tokenizer),
    ("is_bpe", Kind::Tokenizer),
    ("unk_score_offset", Kind::Tokenizer),
    ("feature_extractor_type", Kind::Processor),
    ("image_processor_type", Kind::Processor),
    ("processor_class", Kind::Processor),
    ("video_processor_type", Kind::Processor),
    ("image_mean", Kind::Processor),
    ("do_resize", Kind::Processor),
    ("sampling_rate", Kind::Processor),
    ("chat_template", Kind::Template),
    ("do_sample", Kind::Generation),
    ("max_new_tokens", Kind::Generation),
    ("pad_token_id", Kind::Generation),
    ("eos_token_id", Kind::Generation),
    ("bos_token_id", Kind::Generation),
    ("decoder_start_token_id", Kind::Generation),
    ("transformers_version", Kind::Generation),
    ("max_length", Kind::Generation),
    ("num_beams", Kind::Generation),
    ("_from_model_config", Kind::Generation),
    ("temperature", Kind::Generation),
    ("bos_token", Kind::SpecialTokens),
    ("eos_token", Kind::SpecialTokens),
    ("sep_token", Kind::SpecialTokens),
    ("cls_token", Kind::SpecialTokens),
    ("pad_token", Kind::SpecialTokens),
    ("unk_token", Kind::SpecialTokens),
    ("mask_token", Kind::SpecialTokens),
    ("additional_special_tokens", Kind::SpecialTokens),
    ("max_seq_length", Kind::Modules),
    ("word_embedding_dimension", Kind::Modules),
    ("default_prompt_name", Kind::Modules),
    ("similarity_fn_name", Kind::Modules),
    ("in_features", Kind::Modules),
    ("__version__", Kind::Modules),
    ("prompts", Kind::Modules),
    ("pooling_mode", Kind::Modules),
    ("embedding_dimension", Kind::Modules),
    ("normalize_embeddings", Kind::Modules),
    ("desc_act", Kind::Quantization),
    ("w_bit", Kind::Quantization),
    ("quantization", Kind::Quantization),
    ("per_model_config", Kind::Quantization),
    ("quant_method", Kind::Quantization),
    ("log_history", Kind::Training),
    ("train_loss", Kind::Training),
    ("train_runtime", Kind::Training),
    ("mteb_version", Kind::Training),
    ("dataset_revision", Kind::Training),
    ("n-shot", Kind::Training),
];

impl Kind {
    /// The kind that a member of this name at the top of a document speaks for.
    pub fn of_member(name: &str) -> Option<Self> {
        let mark = MARKS.iter().find(|(mark, _)| *mark == name);
        mark.map(|(_, kind)| *kind)
    }

    /// What it is, for a sentence that begins "this is …".
    pub fn description(self) -> &'static str {
        match self {
            Self::Model => "a model's configuration",
            Self::TokenizerConfig => "a tokenizer's configuration",
            Self::Tokenizer => "a tokenizer",
            Self::Generation => "a configuration of how text is generated",
            Self::Adapter => "an adapter's configuration",
            Self::Index => "an index of a model's files",
            Self::Pipeline => "the configuration of a pipeline or of a part of it",
            Self::Processor => "a configuration of how input is prepared",
            Self::SpecialTokens => "a list of special tokens",
            Self::Template => "a document with a chat template",
            Self::Modules => "a configuration of an embedding model",
            Self::Quantization => "a note of how a model was quantised",
            Self::Training => "a record of a training",
            Self::Vocabulary => "a vocabulary",
            Self::Values => "a list or table of plain values",
            Self::Notebook => "a notebook",
        }
    }
}
