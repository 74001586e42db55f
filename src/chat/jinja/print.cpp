// str() and repr().
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

void append_items(TextBuilder& out, Heap& heap, const std::vector<Value>& items) {
  bool first = true;
  for (const Value& v : items) {
    heap.step();
    if (!first) out.add(", ");
    first = false;
    append_repr(out, heap, v);
  }
}

void append_seq(TextBuilder& out, Heap& heap, const Seq& s) {
  switch (s.kind) {
    case SeqKind::range:
      out.add(fmt::format("range({}, {}", s.range[0], s.range[1]));
      out.add(s.range[2] == 1 ? ")" : fmt::format(", {})", s.range[2]));
      return;
    case SeqKind::list:
      out.add("[");
      break;
    case SeqKind::tuple:
      out.add("(");
      break;
    case SeqKind::keys:
      out.add("dict_keys([");
      break;
    case SeqKind::values:
      out.add("dict_values([");
      break;
    case SeqKind::items:
      out.add("dict_items([");
      break;
  }
  append_items(out, heap, s.items);
  if (s.kind == SeqKind::tuple) {
    out.add(s.items.size() == 1 ? ",)" : ")");
  } else {
    out.add(s.kind == SeqKind::list ? "]" : "])");
  }
}

void append_dict(TextBuilder& out, Heap& heap, const Dict& d) {
  out.add('{');
  bool first = true;
  for (const auto& [key, value] : d.items()) {
    heap.step();
    if (!first) out.add(", ");
    first = false;
    append_repr(out, heap, key);
    out.add(": ");
    append_repr(out, heap, value);
  }
  out.add('}');
}

void append_namespace(TextBuilder& out, Heap& heap, Namespace& ns) {
  if (ns.printing) raise("a namespace that holds itself cannot be printed");
  ns.printing = true;
  out.add("<Namespace ");
  append_dict(out, heap, ns.fields());
  out.add(">");
  ns.printing = false;
}

}  // namespace

void append_repr(TextBuilder& out, std::string_view s) {
  const char quote = s.find('\'') != s.npos && s.find('"') == s.npos ? '"' : '\'';
  out.add(quote);
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    const char32_t c = next_code_point(s, at);
    if (c == '\\' || c == char32_t(quote)) {
      out.add('\\');
      out.add(char(c));
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out.add(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    } else if (is_printable(c) || c == kGuardMark) {
      out.add(s.substr(from, at - from));
    } else if (c > 0x10ffff || c < 0x100) {
      out.add(fmt::format("\\x{:02x}", uint32_t(c) & 0xff));
    } else {
      out.add(c < 0x10000 ? fmt::format("\\u{:04x}", uint32_t(c)) : fmt::format("\\U{:08x}", uint32_t(c)));
    }
  }
  out.add(quote);
}

void append_repr(TextBuilder& out, Heap& heap, const Value& v) {
  if (const Str* s = v.str()) {
    heap.step(int64_t(s->text.size() / 4));  // each character is looked up in tables
    if (s->markup) out.add("Markup(");
    append_repr(out, s->text);
    if (s->markup) out.add(")");
  } else if (v.is_undefined()) {
    out.add("Undefined");
  } else {
    append_text(out, heap, v);
  }
}

void append_text(TextBuilder& out, Heap& heap, const Value& v) {
  if (v.is_undefined()) return;
  if (v.str()) return out.add(v.str()->text);
  if (v.is_none()) return out.add("None");
  if (v.is_bool()) return out.add(v.boolean() ? "True" : "False");
  if (v.is_number()) heap.step(4);
  if (v.is_int()) return out.add(std::to_string(v.integer()));
  if (v.is_float()) return out.add(float_repr(v.number()));
  if (v.seq()) return append_seq(out, heap, *v.seq());
  if (v.dict()) return append_dict(out, heap, *v.dict());
  if (auto* ns = v.object_as<Namespace>()) return append_namespace(out, heap, *ns);
  out.add(v.object()->repr());
}

std::string to_text(Heap& heap, const Value& v) {
  if (v.str()) {
    heap.take(int64_t(v.str()->text.size()));
    return v.str()->text;
  }
  TextBuilder out(heap);
  append_text(out, heap, v);
  return out.take();
}

Str soft_text(Heap& heap, const Value& v) { return {to_text(heap, v), v.str() && v.str()->markup}; }

std::string escape_html(Heap& heap, const Value& v) {
  std::string text = to_text(heap, v);
  heap.step(int64_t(text.size() / 8));
  if ((v.str() && v.str()->markup) || text.find_first_of("&<>\"'") == std::string::npos) return text;
  TextBuilder out(heap);
  for (const char c : text) {
    switch (c) {
      case '&':
        out.add("&amp;");
        break;
      case '<':
        out.add("&lt;");
        break;
      case '>':
        out.add("&gt;");
        break;
      case '"':
        out.add("&#34;");
        break;
      case '\'':
        out.add("&#39;");
        break;
      default:
        out.add(c);
    }
  }
  return out.take();
}

}  // namespace gale::jinja
