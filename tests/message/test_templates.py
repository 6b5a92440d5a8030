"""Templates: what they may use, what they may not, and that a fault is one exception."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.message import templates
from relay.message.templates import NAMES, TemplateFault

VALUES = {name: f"<{name}>" for name in NAMES if name != "header"}


def fill(source: str, **names: str) -> str:
    """The template filled with a name's own name, headers with theirs."""
    return templates.fill(source, {**VALUES, **names}, lambda name: f"[{name}]")


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_name_is_there(name):
    """Each name that the documents promise is filled in, `from` among them."""
    assert f"<{name}>" == fill("{{ " + name + " }}")


def test_headers_filters_and_line_ends():
    """Any header by name, the usual filters, and a text's last line end is kept."""
    assert "[X-Host] <SUBJECT>\n" == fill("{{ header('X-Host') }} {{ subject | upper }}\n")
    assert "yes" == fill("{% if 'disk' in body %}yes{% else %}no{% endif %}", body="disk full")


def test_what_is_filled_in_is_no_template():
    """A stranger's braces are text, and HTML is not escaped."""
    assert "{{ 7 * 7 }} {% raw %} <b>&" == fill("{{ body }}", body="{{ 7 * 7 }} {% raw %} <b>&")


@pytest.mark.parametrize(
    "source",
    [
        "{{ nobody }}",
        "{{ subject",
        "{% if %}",
        "{{ subject | nofilter }}",
        "{{ 1 / 0 }}",
        "{{ subject + 1 }}",
        "{{ (1).nothing }}",
        "{{ subject.nothing.more }}",
        "{{ [1][5] }}",
        "{{ {}['x'] }}",
        "{{ header() }}",
        "{{ '%d' | format('x') }}",
        "{% include 'other' %}",
        "{{ 2.0 ** 5000 }}",
        "{{ subject.__class__.__mro__ }}",
        "{{ header.__globals__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ range(1000000000) | list }}",
        "{% set x = [] %}{{ x.append(1) }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "(" * 5 + "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    ],
)
def test_faults_are_one_exception(source):
    """Bad syntax, unknown names, failing operations and the sandbox's refusals are all a TemplateFault."""
    with pytest.raises(TemplateFault):
        fill(source)
    why = templates.check(source)
    assert "header(name)" in why
    assert "message_id" in why


def test_a_fault_is_only_one_of_the_mail():
    """A template that fails on one mail works on the next."""
    source = "{{ 1 // (body | length) }}"
    with pytest.raises(TemplateFault, match="zero"):
        fill(source, body="")
    assert "1" == fill(source, body="x")


@pytest.mark.parametrize("source", ["", "plain", "{{ subject }}\n{{ body }}", "{{ header('x') }}{# note #}"])
def test_good_templates_have_no_complaint(source):
    """What can be used is used without a word."""
    assert "" == templates.check(source)


@given(source=st.text(alphabet="{}%# subject|.'()[]0/", max_size=30))
@examples(max_examples=150)
def test_any_source_is_a_text_or_a_fault(source):
    """A template of whatever form raises nothing else."""
    try:
        found = fill(source)
    except TemplateFault as error:
        found = str(error)
    assert isinstance(found, str)
