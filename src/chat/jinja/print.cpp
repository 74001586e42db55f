// str() and repr().
#include <algorithm>

#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

// Notes a container as being printed. Namespaces make rings, and chains longer than any value may be deep.
class Printing {
 public:
  Printing(Heap& heap, const void* container) : heap_(heap) {
    auto& open = heap.printing;
    again_ = std::find(open.begin(), open.end(), container) != open.end();
    if (open.size() >= size_t(heap.limits().depth))
      raise("a value to be printed is nested more than {} levels deep", open.size());
    open.push_back(container);
  }
  ~Printing() { heap_.printing.pop_back(); }
  Printing(const Printing&) = delete;
  Printing& operator=(const Printing&) = delete;
  /// It holds itself: Python writes three dots in its place.
  bool again() const { return again_; }

 private:
  Heap& heap_;
  bool again_;
};

struct Brackets {
  std::string_view open, close;
};

Brackets brackets_of(const Seq& s) {
  switch (s.kind) {
    case SeqKind::list:
      return {"[", "]"};
    case SeqKind::tuple:
      return {"(", s.items.size() == 1 ? ",)" : ")"};
    case SeqKind::keys:
      return {"dict_keys([", "])"};
    case SeqKind::values:
      return {"dict_values([", "])"};
    case SeqKind::items:
      return {"dict_items([", "])"};
    case SeqKind::range:
      break;
  }
  return {};
}

void append_seq(TextBuilder& out, Heap& heap, const Seq& s) {
  if (s.kind == SeqKind::range) {
    out.add(fmt::format("range({}, {}", s.range[0], s.range[1]));
    return out.add(s.range[2] == 1 ? ")" : fmt::format(", {})", s.range[2]));
  }
  const Printing now(heap, &s);
  if (now.again()) return out.add(s.kind == SeqKind::list ? "[...]" : s.kind == SeqKind::tuple ? "(...)" : "...");
  const Brackets brackets = brackets_of(s);
  out.add(brackets.open);
  bool first = true;
  for (const Value& v : s.items) {
    heap.step();
    if (!first) out.add(", ");
    first = false;
    append_repr(out, heap, v);
  }
  out.add(brackets.close);
}

void append_dict(TextBuilder& out, Heap& heap, const Dict& d) {
  const Printing now(heap, &d);
  if (now.again()) return out.add("{...}");
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

void append_namespace(TextBuilder& out, Heap& heap, const Namespace& ns) {
  out.add("<Namespace ");
  append_dict(out, heap, ns.fields());
  out.add(">");
}

}  // namespace

namespace {

/// Whether repr() writes an escape for c, and which.
bool append_escape(std::string& out, char32_t c, char quote) {
  if (c >= ' ' && c < 0x7f && c != '\\' && c != char32_t(quote)) return false;
  if (c == '\\' || c == char32_t(quote)) {
    out += '\\';
    out += char(c);
  } else if (c == '\n' || c == '\r' || c == '\t') {
    out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
  } else if (is_printable(c)) {
    return false;
  } else if (c > 0x10ffff || c < 0x100) {
    out += fmt::format("\\x{:02x}", uint32_t(c) & 0xff);
  } else {
    out += c < 0x10000 ? fmt::format("\\u{:04x}", uint32_t(c)) : fmt::format("\\U{:08x}", uint32_t(c));
  }
  return true;
}

}  // namespace

void append_repr(TextBuilder& out, const Str& whole, std::string_view inside) {
  const char quote = inside.find('\'') != inside.npos && inside.find('"') == inside.npos ? '"' : '\'';
  out.add(quote);
  whole.each_author(inside, [&](std::string_view s, Author who) {
    std::string escape;
    size_t plain = 0;  // start of the run that is copied as it is
    for (size_t at = 0; at < s.size();) {
      const size_t from = at;
      if (!append_escape(escape, next_code_point(s, at), quote)) continue;
      out.add(s.substr(plain, from - plain), who);
      out.add(std::exchange(escape, {}), who);
      plain = at;
    }
    out.add(s.substr(plain), who);
  });
  out.add(quote);
}

void append_repr(TextBuilder& out, Heap& heap, const Value& v) {
  if (const Str* s = v.str()) {
    heap.step(int64_t(s->text.size() / 4));  // each character is looked up in tables
    if (s->markup) out.add("Markup(");
    append_repr(out, *s, s->text);
    if (s->markup) out.add(")");
  } else if (v.is_undefined()) {
    out.add("Undefined");
  } else {
    append_text(out, heap, v);
  }
}

void append_text(TextBuilder& out, Heap& heap, const Value& v) {
  if (v.is_undefined()) return;
  if (v.str()) return out.add(*v.str());
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

Str to_text(Heap& heap, const Value& v) {
  if (v.str()) {
    heap.copy(int64_t(v.str()->text.size() + v.str()->authors.bytes()));
    return {v.str()->text, false, v.str()->authors};
  }
  TextBuilder out(heap);
  append_text(out, heap, v);
  return out.take();
}

Str soft_text(Heap& heap, const Value& v) {
  Str out = to_text(heap, v);
  out.markup = v.str() && v.str()->markup;
  return out;
}

Str escape_html(Heap& heap, const Value& v) {
  static constexpr std::string_view signs = "&<>\"'", names[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
  Str whole = to_text(heap, v);
  heap.step(int64_t(whole.text.size() / 8));
  if ((v.str() && v.str()->markup) || whole.text.find_first_of(signs) == std::string::npos) return whole;
  TextBuilder out(heap);
  whole.each_author(whole.text, [&](std::string_view s, Author who) {
    for (size_t at; (at = s.find_first_of(signs)) != s.npos; s.remove_prefix(at + 1)) {
      out.add(s.substr(0, at), who);
      out.add(names[signs.find(s[at])], who);
    }
    out.add(s, who);
  });
  return out.take();
}

}  // namespace gale::jinja
