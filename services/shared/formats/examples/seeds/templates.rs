//! Chat templates with the constructs of the large families, and with those that no template needs. Written for this list.

/// The templates with their names.
#[rustfmt::skip]
pub const ALL: &[(&str, &str)] = &[
    ("chatml", "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe helpful.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
    ("alternating", "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% set role = 'model' if message.role == 'assistant' else message['role'] %}{{ role + '\n' + message['content'] | trim }}{% endfor %}"),
    ("date-and-tools", "{%- if strftime_now is defined %}{%- set date = strftime_now(\"%d %b %Y\") %}{%- else %}{%- set date = \"26 Jul 2024\" %}{%- endif %}{{- \"Today: \" + date }}{%- if tools is defined %}{{- \"Tools: \" + tools | reject('equalto', 'x') | join(\", \") }}{%- endif %}{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}"),
    ("thinking", "{%- set ns = namespace(many=true, last=messages|length - 1) %}{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.many and message.role == \"user\" and message.content is string and not(message.content.startswith('<r>')) %}{%- set ns.many = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{%- for message in messages %}{%- if '</think>' in message.content %}{{- message.content.split('</think>')[-1].lstrip('\n') }}{%- endif %}{%- endfor %}"),
    ("parts", "{%- for message in messages %}{%- for item in message['content'] %}{%- if item['type'] == 'image' or 'image_url' in item %}<image>{%- elif item['type'] == 'text' %}{{ item['text'] | trim }}{%- endif %}{%- endfor %}{%- endfor %}"),
    ("macros", "{%- macro render(spec, required=true) -%}{%- if spec.type == 'array' -%}{{- render(spec['items'], false) -}}[]{%- else -%}any{%- endif -%}{%- endmacro -%}{%- for tool in tools %}{{ render(tool.function.parameters) }}{%- endfor %}{%- for m in messages %}{{ render(m) }}{%- endfor %}"),
    ("generation", "a{% generation %}{{ messages[0].content }}{%- endgeneration -%}b"),
    ("filters", "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | map(attribute='content') | join('\n') }}{{ [3, 1, 2] | sort | first }}{{ 'a' | upper | replace('A', 'b') | indent(2) }}{{ 1.5 | round | int }}{{ {'a': 1} | items | list | tojson }}"),
    ("methods", "{{ ' a,b '.strip().split(',')[0].title() }}{{ '{}'.format(1) }}{{ {'a': 1}.get('b', 2) }}{% for k, v in {'a': [1, 2]}.items() %}{{ k ~ v }}{% endfor %}{{ 'abc'[::-1] }}{{ 'abc'[1:2] }}"),
    ("control", "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% elif i > 5 %}{% break %}{% endif %}{{ loop.cycle('a', 'b') }}{{ loop.last }}{% else %}none{% endfor %}"),
    ("blocks", "{% with a = 1 %}{{ a }}{% endwith %}{% set x %}text{% endset %}{% filter upper %}{{ x }}{% endfilter %}{% raw %}{{ }}{% endraw %}{# note #}{% call m() %}x{% endcall %}{% macro m() %}{{ caller() }}{% endmacro %}"),
    ("operators", "{{ 1 + 2 * 3 ** 2 // 4 % 5 - 6 / 7 }}{{ 'a' ~ 1 }}{{ not true and false or none }}{{ 1 <= 2 != 3 }}{{ 'a' in 'abc' }}{{ 1 not in [2] }}{{ 1 if true else 2 }}{{ x is defined }}{{ -1 }}{{ 0x1f }}{{ 1e3 }}"),
    ("recursive", "{% for m in [[1, [2]], 3] recursive %}{{ loop(m) if m is iterable else m }}{{ loop.depth }}{% endfor %}"),
    ("line-ends", "a\r\n  {%- if true -%}\r\n  b\r\n  {%- endif -%}\n\n{{ '\\u0041\\x42\\n\"' }}"),
    ("reaches", "{{ ''['__cla' ~ 'ss__'] }}{{ messages.__class__.__mro__[1] }}{{ '' | attr('x') }}"),
    ("computed", "{{ ''['%c%c' | format(95, 95)] }}{% set a = '_' * 2 %}{{ ''[a] }}"),
    ("loads", "{% include 'x' %}{% import 'x' as y %}{% from 'x' import y %}"),
    ("extends", "{% extends 'base' %}{% block a %}{{ super() }}{% endblock %}"),
    ("trigger", "{% set c = messages[-1].content | lower %}{{ 'x' if 'invoice' in c else '' }}{% if strftime_now('%Y') == '2030' %}y{% endif %}"),
    ("endless", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
    ("growing", "{% set ns = namespace(x='a') %}{% for a in range(12) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x * 9 }}"),
    ("calls-itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
];
