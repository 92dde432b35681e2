"""Whether a schema still keeps what an older one promised: to senders of commands, to readers."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

LEAST = ("minimum", "minLength", "minItems", "exclusiveMinimum")
MOST = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")


def broken(old: Schema, new: Schema, *, sent: bool) -> list[str]:
    """Return what is broken, each with its JSON path.

    What is sent to us (`sent`) must not be narrowed, and nothing more may be required of it. What
    we say must not be widened, and nothing that was always there may be left out.
    """
    return list(_Comparison(old, new, sent=sent).of(old, new, "$"))


class _Comparison:
    def __init__(self, old: Schema, new: Schema, *, sent: bool) -> None:
        self.old, self.new, self.sent = old, new, sent

    def of(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        old, new = resolved(old, self.old), resolved(new, self.new)
        if "anyOf" in old or "anyOf" in new:
            yield from self.variants(old, new, path)
            return
        if old.get("type") != new.get("type"):
            yield f"{path}: type {old.get('type')} became {new.get('type')}"
        yield from self.bounds(old, new, path)
        yield from self.fields(old, new, path)
        for inside in ("items", "additionalProperties", "propertyNames"):
            if isinstance(old.get(inside), Mapping) and isinstance(new.get(inside), Mapping):
                yield from self.of(old[inside], new[inside], f"{path}.{inside}")

    def variants(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        olds, news = kinds(old, self.old), kinds(new, self.new)
        kept, may_be = (olds, news) if self.sent else (news, olds)
        for kind in kept.keys() - may_be.keys():
            yield f"{path}: {kind} {'is not taken any more' if self.sent else 'is new to readers'}"
        for kind in olds.keys() & news.keys():
            yield from self.of(olds[kind], news[kind], path)

    def bounds(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        narrow, wide = (new, old) if self.sent else (old, new)
        for word in LEAST:
            if narrow.get(word, float("-inf")) > wide.get(word, float("-inf")):
                yield f"{path}: {word} {old.get(word)} became {new.get(word)}"
        for word in MOST:
            if narrow.get(word, float("inf")) < wide.get(word, float("inf")):
                yield f"{path}: {word} {old.get(word)} became {new.get(word)}"
        if self.sent and new.get("pattern") not in (None, old.get("pattern")):
            yield f"{path}: pattern {old.get('pattern')} became {new.get('pattern')}"
        gone = set(wide.get("enum", ())) - set(narrow.get("enum", wide.get("enum", ())))
        if self.sent and gone:
            yield f"{path}: {sorted(map(str, gone))} is not taken any more"

    def fields(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        olds, news = old.get("properties", {}), new.get("properties", {})
        for name in olds.keys() - news.keys():
            yield f"{path}.{name}: is gone"
        for name in olds.keys() & news.keys():
            yield from self.of(olds[name], news[name], f"{path}.{name}")
        was, is_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in (is_now - was) if self.sent else (was - is_now):
            yield f"{path}.{name}: {'is required now' if self.sent else 'may be left out now'}"


def resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    return root["$defs"][reference.removeprefix("#/$defs/")] if reference else schema


def kinds(schema: Schema, root: Schema) -> dict[str, Schema]:
    """Return the variants of a schema by what tells them apart: their tag, or their type."""
    found = {}
    for variant in schema.get("anyOf", [schema]):
        inner = resolved(variant, root)
        tags = [
            p["enum"][0]
            for p in inner.get("properties", {}).values()
            if len(p.get("enum", ())) == 1
        ]
        found[str(tags[0] if tags else inner.get("type", inner.get("enum")))] = inner
    return found
