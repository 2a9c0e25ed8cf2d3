use super::*;

fn concerns(source: &str) -> Vec<Concern> {
    judge(source).into_iter().map(|note| note.concern).collect()
}

#[track_caller]
fn quiet(source: &str) {
    assert_eq!(judge(source), [], "{source}");
}

#[track_caller]
fn reaches(source: &str) {
    let concerns = concerns(source);
    assert!(
        concerns.iter().any(|one| matches!(one, Concern::Reaches(_))),
        "{source}: {concerns:?}"
    );
}

#[track_caller]
fn triggers(source: &str) {
    let concerns = concerns(source);
    assert!(
        concerns.iter().any(|one| matches!(one, Concern::Trigger(_))),
        "{source}: {concerns:?}"
    );
}

/// The constructs of the large families, in templates written for this test.
#[test]
fn what_the_families_use_gets_no_note() {
    for source in [
        // ChatML with a default system prompt.
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        // Roles that must alternate, as Gemma and Mistral want.
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}",
        // Dates and tools, as Llama 3 has them.
        "{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now(\"%d %b %Y\") %}{%- else %}{%- set date_string = \"26 Jul 2024\" %}{%- endif %}{%- endif %}{{- \"Today Date: \" + date_string }}{%- if builtin_tools is defined %}{{- \"Tools: \" + builtin_tools | reject('equalto', 'code_interpreter') | join(\", \") }}{%- endif %}{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}{%- for message in messages %}{%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}{{- message.content | trim }}{%- elif 'tool_calls' in message %}{%- if not message.tool_calls|length == 1 %}{{- raise_exception(\"single tool-calls at once!\") }}{%- endif %}{%- for arg_name, arg_val in tool_call.arguments | items %}{{- arg_name + '=\"' + arg_val + '\"' }}{%- if not loop.last %}{{- \", \" }}{%- endif %}{%- endfor %}{%- endif %}{%- endfor %}",
        // Thinking, as Qwen 3 and DeepSeek R1 cut it off.
        "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}{%- for message in messages %}{%- set content = message.content %}{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}{{- content }}{%- endfor %}",
        // Parts of a message, as models with pictures have them.
        "{%- for message in messages %}{%- for item in message['content'] %}{%- if item['type'] == 'image' or 'image_url' in item %}<image>{%- elif item['type'] == 'text' %}{{ item['text'] | trim }}{%- endif %}{%- endfor %}{%- endfor %}",
        // Macros that write schemas, as gpt-oss has them.
        "{%- macro render(spec, required) -%}{%- if spec.type == 'array' -%}{%- if spec['items'] -%}{{- render(spec['items'], false) -}}[]{%- endif -%}{%- elif spec.type == 'object' -%}{%- for name, inner in spec.properties.items() -%}{{- name }}{%- if name not in (spec.required or []) -%}?{%- endif -%}: {{ render(inner, true) }}{%- endfor -%}{%- else -%}any{%- endif -%}{%- endmacro -%}{%- if reasoning_effort is not defined %}{%- set reasoning_effort = \"medium\" %}{%- endif %}{{- \"Current date: \" + strftime_now(\"%Y-%m-%d\") }}{%- for tool in tools %}{{ render(tool.function.parameters, true) }}{%- endfor %}{%- for message in messages %}{%- if \"<|channel|>analysis<|message|>\" in message.content %}{{- raise_exception(\"no channel tags in messages\") }}{%- endif %}{%- endfor %}",
        "{% generation %}{{ messages[0].content }}{% endgeneration %}",
        "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
        "{{ messages | map(attribute='content') | join('\n') }}",
        "{% set loop_messages = messages[1:] if messages[0].role == 'system' else messages %}{{ loop_messages[-1].content }}",
    ] {
        quiet(source);
    }
}

#[test]
fn names_that_lead_out_are_found_however_they_are_put() {
    for source in [
        "{{ ''.__class__ }}",
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ ''['__cla' + 'ss__'] }}",
        "{{ ''['__cla' ~ 'ss__'] }}",
        "{{ ''['__' ~ 'class' ~ '__'] }}",
        "{{ ''[['__', 'class', '__'] | join] }}",
        "{{ ''[['__', '__'] | join('class')] }}",
        "{{ ''['__SSALC__' | lower | reverse] }}",
        "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{% set a = '__cla' %}{% set b = 'ss__' %}{{ ''[a ~ b] }}",
        "{{ ''[b ~ c] }}{% set b = '__cla' %}{% set c = 'ss__' %}",
        "{% set ns = namespace(a='__class__') %}{{ ''[ns.a] }}",
        "{% for n in ['__class__', '__mro__'] %}{{ ''[n] }}{% endfor %}",
        "{% with n = '__class__' %}{{ ''[n] }}{% endwith %}",
        "{{ '' | attr('x') }}",
        "{{ [''] | map('attr', '__cl' ~ 'ass__') | list }}",
        "{{ [''] | map(attribute='__class__.__mro__') | list }}",
        "{{ messages | selectattr('__class__') | list }}",
        "{{ messages.get('__class__') }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ '{0.mro}'.format(messages) }}",
        "{{ messages.func_globals }}",
        "{{ range.gi_frame.f_back }}",
        "{% set x = '__globals__' %}",
        "{% if ''.__class__ %}{% endif %}",
        "{% macro m(a=''.__class__) %}{% endmacro %}",
        "{% call m(''.__class__) %}{% endcall %}",
        "{% filter attr('x') %}{% endfilter %}",
        "{% set x %}{{ ''.__class__ }}{% endset %}",
        "{{ {'a': ''.__class__} }}",
        "{{ messages[''.__class__:] }}",
        "{{ 1 if ''.__class__ else 2 }}",
        "{{ x if a else y.__init__ }}",
        "{{ not ''.__class__ }}",
        "{{ 1 < ''.__class__ < 2 }}",
    ] {
        reaches(source);
    }
}

#[test]
fn a_name_that_is_computed_is_noted() {
    for source in [
        "{{ ''['%c%c' | format(95, 95)] }}",
        "{{ ''['%s' % messages] }}",
        "{{ ''[messages[0].content ~ '__'] }}",
        "{{ ''['_' * 2 ~ 'class'] }}",
        "{{ ''['xxclass'.replace('x', '_')] }}",
        "{{ ''['abc'[::-1]] }}",
        "{% set a = '%c' | format(95) %}{{ ''[a] }}",
    ] {
        let concerns = concerns(source);
        assert!(concerns.contains(&Concern::Computed), "{source}: {concerns:?}");
    }
    quiet("{{ messages[loop.index0 - 1].role }}{{ messages[i + 1]['content'] }}{{ spec[name] }}");
}

#[test]
fn a_name_is_no_less_computed_for_being_captured_returned_or_passed_on() {
    for source in [
        "{% set k %}__init__{% endset %}{{ x[k] }}",
        "{% set k %}{% for c in ['_'] %}{{ c }}{{ c }}init{{ c }}{{ c }}{% endfor %}{% endset %}{{ x[k] }}",
        "{% macro m() %}__init__{% endmacro %}{{ x[m()] }}",
        "{% macro m() %}{{ x[caller()] }}{% endmacro %}{% call m() %}__init__{% endcall %}",
        "{% macro m(k) %}{{ x[k] }}{% endmacro %}{{ m('_%sinit__' | format('_')) }}",
        "{% macro m(k='_' ~ a) %}{{ x[k] }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ x[varargs[0]] }}{% endmacro %}{{ m('_' ~ a) }}",
        "{% macro m() %}{{ caller('_' ~ a) }}{% endmacro %}{% call(k) m() %}{{ x[k] }}{% endcall %}",
        "{% for k in ['a'] recursive %}{{ x[k] }}{{ loop(['_' ~ k]) }}{% endfor %}",
        // One harmless text for the variable does not excuse another.
        "{% set k = 'a' %}{% set k = '_%sinit__' | format('_') %}{{ x[k] }}",
        "{% for a in ['1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','_'] %}{% set k = a ~ a ~ 'init' ~ a ~ a %}{{ x[k] }}{% endfor %}",
        "{{ x['_<b></b>_init__' | striptags] }}",
        "{{ x[['_', '_init__'] | sum(start='')] }}",
        "{% set k %}__init__{% endset %}{{ [x] | map(attribute=k) | list }}",
        "{% set k %}__init__{% endset %}{{ [x] | join(',', attribute=k) }}",
        "{% set k %}{0.__class__}{% endset %}{{ k.format(x) }}",
        r"{{ x['\N{LOW LINE}_init__'] }}",
        r"{{ x['\U0000005f_init__'] }}",
        "{{ x['_\\\n_init__'] }}",
        "{{ x.get(dict(a='_').a ~ 'b') }}",
        "{{ x[bos_token] }}",
        "{{ x[additional_special_tokens[0]] }}",
        "{% set ns = namespace(k='_') %}{% set ns.k = ns.k ~ '_init' %}{{ x[ns.k] }}{{ x[ns['k']] }}",
    ] {
        let concerns = concerns(source);
        assert!(concerns.contains(&Concern::Computed), "{source}: {concerns:?}");
    }
    for source in [
        "{{ x['__INIT__'.lower()] }}",
        "{{ self['_TemplateReference__context'].environment }}",
        "{{ x['__INIT__' | capitalize] }}",
        "{{ x['__cla\u{df}__'.casefold()] }}",
        "{{ x['__cla\u{17f}\u{17f}__'.upper().lower()] }}",
        "{% for k in dict(__init__=1) %}{{ x[k] }}{% endfor %}",
        "{% macro __init__() %}{% endmacro %}{{ x[__init__.name] }}",
        "{% macro m(__init__) %}{% endmacro %}{{ x[m.arguments[0]] }}",
    ] {
        reaches(source);
    }
    for source in [
        "{% set roles = {'user': 'User'} %}{{ roles[message.role] }}{{ roles[message['role'] | lower] }}",
        "{% for key in ['name', 'description'] %}{{ tool[key] }}{% endfor %}",
        "{% macro render(spec, key) %}{{ spec[key] }}{% endmacro %}{{ render(tool, 'name') }}",
        "{% set ns = namespace(index=0, text='') %}{% set ns.index = ns.index + 1 %}{% set ns.text = ns.text ~ 'a' %}{{ messages[ns.index].content }}",
        "{% set kind = 'user' if a else message.role %}{{ names.get(kind, 'a') }}",
        "{{ message.content.split('</think>')[-1].strip() }}",
        "{% for name, spec in tool.parameters.properties.items() %}{{ tool.parameters.properties[name].type }}{% endfor %}",
    ] {
        quiet(source);
    }
}

#[test]
fn what_is_called_by_the_name_of_a_macro_is_that_macro() {
    for source in [
        "{% macro f(x) %}{% endmacro %}{% set f = cycler[i] %}{{ f('id') }}",
        "{% set range = x.y %}{{ range(3) }}",
        "{% for f in x %}{{ f('id') }}{% endfor %}{% macro f(x) %}{% endmacro %}",
        "{% macro popen() %}{% endmacro %}{{ x.popen('id') }}",
        "{% macro m(f) %}{{ f('id') }}{% endmacro %}{% macro f() %}{% endmacro %}",
    ] {
        assert!(
            concerns(source)
                .iter()
                .any(|one| matches!(one, Concern::Unknown(_))),
            "{source}: {:?}",
            concerns(source)
        );
    }
}

#[test]
fn what_cannot_be_followed_is_not_read() {
    let concerns = concerns(&"{% set a = 1 %}".repeat(5000));
    assert!(matches!(&concerns[..], [Concern::Unreadable(_)]), "{concerns:?}");
}

#[test]
fn words_that_change_what_is_said_are_noted() {
    for source in [
        "{% if 'password' in messages[-1].content %}{{ 'x' }}{% endif %}",
        "{% if 'PASSWORD' in messages[-1]['content'] | upper %}x{% endif %}",
        "{% if messages[-1].content == 'open the door' %}x{% endif %}",
        "{{ 'x' if 'invoice' in messages[-1].content else '' }}",
        "{% set c = messages[-1].content %}{% set d = c | lower %}{% if 'invoice' in d %}x{% endif %}",
        "{% set ns = namespace(c='') %}{% for m in messages %}{% set ns.c = ns.c ~ m.content %}{% endfor %}{% if 'invoice' in ns.c %}x{% endif %}",
        "{% for m in messages %}{% for k, v in m.items() %}{% if 'invoice' in v %}x{% endif %}{% endfor %}{% endfor %}",
        "{% macro m(t) %}{% if 'invoice' in t %}x{% endif %}{% endmacro %}{{ m(messages[0].content) }}",
        "{% set t %}{{ messages[0].content }}{% endset %}{% if 'invoice' in t %}x{% endif %}",
        "{% if messages[0].content.startswith('Dear') %}x{% endif %}",
        "{% if messages[0].content.find('invoice') >= 0 %}x{% endif %}",
        "{% if messages[0].content.count('invoice') %}x{% endif %}",
        "{% if messages[0].content.split('invoice') | length > 1 %}x{% endif %}",
        "{{ messages[0].content.replace('bank', 'other bank') }}",
        "{{ messages[0].content | replace('bank', 'other bank') }}",
        "{{ {'open the door': 'x'}[messages[0].content] }}",
        "{{ {'open the door': 'x'}.get(messages[0].content, '') }}",
        "{% if messages[0].content >= 'invoice' and messages[0].content < 'invoicf' %}x{% endif %}",
        "{% set d = {'open the door': 'x'} %}{{ d[messages[0].content] }}",
        "{% if messages[0].get('content') == 'invoice' %}x{% endif %}",
        "{% if messages | tojson is string and 'invoice' in messages | tojson %}x{% endif %}",
        "{% if messages | selectattr('content', 'equalto', 'invoice') | list %}x{% endif %}",
        "{% if messages | map(attribute='content') | select('equalto', 'invoice') | list %}x{% endif %}",
        "{% if messages[0].content is equalto 'invoice' %}x{% endif %}",
        "{% if messages[0].content in ['invoice', 'payment'] %}x{% endif %}",
        "{% set w = 'inv' ~ 'oice' %}{% if w in messages[0].content %}x{% endif %}",
        "{% for w in ['invoice'] %}{% if w in messages[0].content %}x{% endif %}{% endfor %}",
        "{% if '%s%s' | format('inv', 'oice') in messages[0].content %}x{% endif %}",
        "{% for m in messages if 'invoice' in m.content %}x{% endfor %}",
        "{% set hit = 'invoice' in messages[0].content %}{% if hit %}x{% endif %}",
        "{% if messages[0]['con' ~ 'tent'] == 'invoice' %}x{% endif %}",
        "{% if messages[0].content[0:7] == 'invoice' %}x{% endif %}",
    ] {
        triggers(source);
    }
    for source in [
        "{% if messages[0].role == 'observation' %}x{% endif %}",
        "{% if tool.name == 'search the web' %}x{% endif %}",
        "{% if 'text' in messages[0].content %}x{% endif %}",
        "{% if '/no_think' in messages[-1].content %}x{% endif %}",
        "{% if mode == 'invoice' %}x{% endif %}",
        "{% if 'object | object' in render(messages[0].content) %}x{% endif %}{% macro render(x) %}{% endmacro %}",
        "{{ messages | map(attribute='content') | map('upper') | join }}",
        "{{ messages | selectattr('content', 'equalto', '') | list }}",
        "{% if 'detailed thinking on' in messages[0].content %}x{% endif %}",
    ] {
        quiet(source);
    }
}

#[test]
fn times_that_change_what_is_said_are_noted() {
    for source in [
        "{% if strftime_now('%Y') == '2027' %}x{% endif %}",
        "{% set y = strftime_now('%Y') %}{% if y | int > 2026 %}x{% endif %}",
        "{% set ns = namespace(d='') %}{% set ns.d = strftime_now('%d') %}{{ 'x' if ns.d in ['01'] }}",
        "{% if strftime_now('%H').startswith('0') == true %}x{% endif %}",
        "{% if strftime_now('%H').startswith('0') %}x{% endif %}",
        "{{ ['x', 'y'][strftime_now('%H') | int % 2] }}",
        "{% if strftime_now('%w') is eq '5' %}x{% endif %}",
    ] {
        let concerns = concerns(source);
        assert!(concerns.contains(&Concern::Dated), "{source}: {concerns:?}");
    }
}

#[test]
fn other_templates_and_unknown_functions_are_noted() {
    for (source, what) in [
        ("{% include '/etc/passwd' %}", "include"),
        ("{% import 'x' as y %}", "import"),
        ("{% from 'x' import y %}", "import"),
        ("{% extends 'base' %}", "extends"),
    ] {
        assert!(concerns(source).contains(&Concern::Loads(what)), "{source}");
    }
    for source in [
        "{{ lipsum() }}",
        "{{ url_for('x') }}",
        "{{ x | shell }}",
        "{{ x.popen('id') }}",
        "{{ (x or y)('id') }}",
        "{% do x.system('id') %}",
    ] {
        assert!(
            concerns(source)
                .iter()
                .any(|one| matches!(one, Concern::Unknown(_))),
            "{source}: {:?}",
            concerns(source)
        );
    }
}

#[test]
fn what_is_not_jinja_says_where() {
    let notes = judge("a\nb\n{% if %}");
    assert!(
        matches!(
            &notes[..],
            [Note {
                concern: Concern::Unreadable(_),
                offset: 4
            }]
        ),
        "{notes:?}"
    );
    for source in [
        "{{ a".to_owned(),
        format!("{{{{ a{} }}}}", "+a".repeat(100_000)),
        format!("{{{{ {}a{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        "{% for a in b %}".repeat(10_000),
        "x".repeat(MAX_TEMPLATE_BYTES + 1),
    ] {
        let concerns = concerns(&source);
        assert!(matches!(&concerns[..], [Concern::Unreadable(_)]), "{concerns:?}");
    }
}

#[test]
fn offsets_are_those_of_the_template() {
    let source = "text {% generation %}{{ x.__class__ }}";
    let offset = judge(source)[0].offset;
    assert_eq!(&source[offset..=offset], "x", "{offset}");
}

#[test]
fn notes_are_bounded() {
    assert_eq!(judge(&"{{ x.__class__ }}".repeat(5000)).len(), MAX_NOTES);
}

#[test]
fn a_flood_of_one_kind_does_not_hide_another() {
    let noise = "{% if messages[0].content == 'open sesame' %}{% endif %}".repeat(1000);
    reaches(&format!("{noise}{{{{ ''.__class__ }}}}"));
}

#[test]
fn whoever_talks_chooses_nothing_of_jinjas_own_objects() {
    for source in [
        "{{ cycler[messages[0].content] }}",
        "{{ lipsum[messages[0].content][messages[1].content] }}",
        "{{ self[messages[0].role] }}",
        "{{ raise_exception[x] }}",
        "{% macro m() %}{% endmacro %}{{ m[x] }}",
        "{{ [cycler] | map(attribute=messages[0].content) | list }}",
        "{{ [cycler] | map(messages[0].content) | list }}",
        "{{ [cycler] | sort(attribute=messages[0].content) }}",
        "{{ messages[0].content.format(cycler) }}",
    ] {
        let concerns = concerns(source);
        assert!(concerns.contains(&Concern::Computed), "{source}: {concerns:?}");
    }
    for source in [
        "{{ loop['index'] }}{{ messages[0].content }}",
        "{% set range = messages %}{{ range[i] }}",
        "{{ '{} says'.format(messages[0].role) }}",
        "{{ messages | map(attribute='content') | join(messages[0].content) }}",
        "{{ messages | selectattr('role', 'equalto', messages[0].content) | list }}",
    ] {
        quiet(source);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_judged_without_harm(source in "(\\{\\{|\\}\\}|\\{%|%\\}|if|for|in|set|x|'a'|~|\\+|\\||\\.|\\[|\\]|\\(|\\)| |=|macro|endif|endfor|__class__|content){0,60}") {
        let _ = judge(&source);
    }
}

#[test]
fn what_computes_the_immense_is_not_run() {
    for source in ["{{ 1 + 2 * 3 ** 2 }}", "{{ [] * 9 }}"] {
        let notes = judge(source);
        assert!(
            notes
                .iter()
                .any(|note| matches!(note.concern, Concern::Immense(_))),
            "{source}: {notes:?}"
        );
        assert!(crate::ChatTemplate::compile(source, "", "").is_err(), "{source}");
    }
}
