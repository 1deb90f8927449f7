"""A page with every call of the API and every field, made of docs/openapi.json, which a test compares with the code."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
LIMITS = {
    "minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than",
    "minLength": "characters at least", "maxLength": "characters at most", "minItems": "entries at least",
    "maxItems": "entries at most", "pattern": "like",
}  # fmt: skip


def fields_page(text: str) -> str:
    """The page, from the text of an OpenAPI 3.1 document."""
    document = json.loads(text)
    lines = [
        "# Every call and field",
        "",
        "Made of [`openapi.json`](openapi.json). [REST API](api.md) says what the calls do, and what each error means.",
        "",
        "## Calls",
    ]
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                lines += ["", f"### `{method.upper()} {path}`", "", *_call(methods[method])]
    lines += ["", "## Bodies and answers"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += ["", f'### <a id="{name}"></a>`{name}`', "", *_schema(schema)]
    return "\n".join([*lines, ""])


def _call(call: Mapping[str, Any]) -> Iterator[str]:
    yield _text(call.get("description", call.get("summary", "")))
    if parameters := call.get("parameters"):
        yield from ("", "| parameter | in | type | |", "|---|---|---|---|")
        for one in parameters:
            said = [] if one.get("required") else ["may be left out"]
            said += [_text(one["description"])] if one.get("description") else []
            yield f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {'; '.join(said)} |"
    body = call.get("requestBody", {}).get("content", {})
    yield from ("", "| | type | |", "|---|---|---|")
    for kind, content in body.items():
        yield f"| body | {_type(content.get('schema', {}))} | `{kind}` |"
    for status, answer in sorted(call["responses"].items()):
        kinds = ", ".join(_type(content.get("schema", {})) for content in answer.get("content", {}).values())
        yield f"| {status} | {kinds} | {_text(answer.get('description', ''))} |"


def _schema(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("description"):
        yield from (_text(schema["description"]), "")
    if "properties" not in schema:
        yield _type(schema)
        return
    required = schema.get("required", [])
    yield from ("| field | type | |", "|---|---|---|")
    for name, one in schema["properties"].items():
        notes = [] if name in required else ["may be left out" + _default(one)]
        notes += [f"{said} `{_cell(str(one[limit]))}`" for limit, said in LIMITS.items() if limit in one]
        notes += [_text(one["description"])] if one.get("description") else []
        yield f"| `{name}` | {_type(one)} | {'; '.join(notes)} |"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return ", ".join(f"`{_cell(json.dumps(value))}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{_cell(json.dumps(schema['const']))}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _default(schema: Mapping[str, Any]) -> str:
    return f": `{_cell(json.dumps(schema['default'], ensure_ascii=False))}`" if "default" in schema else ""


def _text(said: str) -> str:
    return _cell(" ".join(said.split())).replace("<", "&lt;")


def _cell(said: str) -> str:
    return said.replace("|", "\\|")
