#include <array>
#include <utility>

#include "tokenizer/json_components.h"
#include "tokenizer/json_fields.h"

namespace gale {
namespace {

using Items = std::vector<TemplateItem>;

// Ids need not be in the vocabulary: those who use a text's ids look.
TokenId template_id(const JsonAt& at) { return TokenId(at.count(0, INT32_MAX)); }

TemplateItem template_item(const JsonAt& at, const JsonAt& processor) {
  TemplateItem out;
  const bool text = at.has("Sequence");
  const JsonAt item = at.at(text ? "Sequence" : "SpecialToken");
  out.type_id = item.has("type_id") ? int32_t(item.at("type_id").count(0, INT32_MAX)) : 0;
  const std::string name = item.at("id").text();
  if (text) {
    require(name == "A" || name == "B", ErrorCode::corrupt, "tokenizer.json: {}/id '{}' is neither A nor B", item.pointer, name);
    out.kind = name == "B" ? TemplateItem::second_text : TemplateItem::first_text;
    return out;
  }
  out.kind = TemplateItem::tokens;
  const JsonAt ids = processor.at("special_tokens").at(name).at("ids");
  for (size_t k = 0; k < ids.list().size(); ++k) out.ids.push_back(template_id(ids.at(k)));
  return out;
}

Items template_items(const JsonAt& at, const char* key) {
  Items out;
  const JsonAt items = at.at(key);
  require(items.list().size() <= kMaxSteps, ErrorCode::unsupported, "tokenizer.json: {} has {} parts; at most {} are read",
          items.pointer, items.json.size(), kMaxSteps);
  for (size_t i = 0; i < items.json.size(); ++i) out.push_back(template_item(items.at(i), at));
  return out;
}

TokenId pair_token(const JsonAt& at, const char* key) {
  const JsonAt pair = at.at(key);
  require(pair.list().size() == 2, ErrorCode::corrupt, "tokenizer.json: {} is not [text, id]", pair.pointer);
  return template_id(pair.at(1));
}

size_t tokens_in(const Items& items) {
  size_t n = 0;
  for (const TemplateItem& item : items) n += item.ids.size();
  return n;
}

// What one text, or two, become on their way through a Sequence: a list of encodings, which the next processor sees one by one
// and which are put together after the last one.
struct Course {
  bool special;  // tokens are added
  std::vector<Items> encodings;
  bool broken = false;  // a template was given more than two of them

  Items whole() const {
    Items out;
    for (const Items& e : encodings) out.insert(out.end(), e.begin(), e.end());
    if (broken) out = {{.kind = TemplateItem::broken}};
    return out;
  }

  // [CLS] A [SEP] B [SEP] or, with RoBERTa, <s> A </s> </s> B </s>. What was a special token before is marked as one no longer.
  void surround(TokenId cls, TokenId sep, bool roberta) {
    for (size_t i = 0; i < encodings.size(); ++i) {
      Items& e = encodings[i];
      for (TemplateItem& item : e) {
        if (roberta) item.type_id = 0;
        item.marked &= !special;
        if (roberta && special) item.cut_type_id = 0;
      }
      if (!special) continue;
      const auto fixed = [&](TokenId id, int32_t type) {
        return TemplateItem{.kind = TemplateItem::tokens, .ids = {id}, .type_id = type};
      };
      if (i == 0) e.insert(e.begin(), fixed(cls, 0));
      if (i > 0 && roberta) e.insert(e.begin(), fixed(sep, 0));
      e.push_back(fixed(sep, i > 0 && !roberta ? 1 : 0));
    }
  }

  // Each of the template's parts is an encoding of its own from here on.
  void fill(const Items& single, const Items& pair) {
    broken |= encodings.size() > 2 || encodings.empty();
    if (broken) return;
    std::vector<Items> out;
    for (const TemplateItem& item : encodings.size() == 1 ? single : pair) {
      const size_t which = item.kind == TemplateItem::second_text;
      if (item.kind == TemplateItem::tokens) {
        if (special) out.push_back({item});
      } else if (which >= encodings.size()) {
        out.push_back({item});  // said when it is asked for
      } else {
        for (TemplateItem& inner : encodings[which]) inner.type_id = item.type_id;
        out.push_back(encodings[which]);
      }
    }
    encodings = std::move(out);
  }
};

struct Courses {
  std::array<Course, 2> single{Course{true, {{{}}}}, Course{false, {{{}}}}};
  std::array<Course, 2> pair{Course{true, {{{}}, {{.kind = TemplateItem::second_text}}}},
                             Course{false, {{{}}, {{.kind = TemplateItem::second_text}}}}};

  template <class Visit>
  void each(Visit visit) {
    for (auto* courses : {&single, &pair})
      for (Course& c : *courses) visit(c);
  }
};

void add_processor(const JsonAt& at, Courses& courses, PostProcessor& out) {
  const std::string type = at.type();
  if (type == "ByteLevel") {
    if (at.flag("trim_offsets", true)) out.trims.push_back({at.flag("add_prefix_space", true)});
  } else if (type == "TemplateProcessing") {
    const Items single = template_items(at, "single"),
                pair = at.has("pair") ? template_items(at, "pair") : Items{{}, {.kind = TemplateItem::second_text, .type_id = 1}};
    *out.room_single += tokens_in(single);
    *out.room_pair += tokens_in(pair);
    courses.each([&](Course& c) { c.fill(single, pair); });
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const bool roberta = type == "RobertaProcessing";
    const TokenId cls = pair_token(at, "cls"), sep = pair_token(at, "sep");
    *out.room_single += 2;
    *out.room_pair += roberta ? 4 : 3;
    courses.each([&](Course& c) { c.surround(cls, sep, roberta); });
    if (roberta && at.flag("trim_offsets", true)) out.trims.push_back({at.flag("add_prefix_space", true)});
  } else {
    at.unknown("post-processor", "TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing and Sequence");
  }
}

}  // namespace

PostProcessor parse_post_processor(const Json& json) {
  PostProcessor out;
  out.room_single = out.room_pair = 0;
  Courses courses;
  size_t count = 0;
  for_each_part({json, "/post_processor"}, "processors", [&](const JsonAt& at) {
    require(++count <= kMaxSteps, ErrorCode::unsupported, "tokenizer.json: more than {} post-processors in all", kMaxSteps);
    add_processor(at, courses, out);
  });
  out.single = courses.single[0].whole();
  out.pair = courses.pair[0].whole();
  out.plain_single = courses.single[1].whole();
  out.plain_pair = courses.pair[1].whole();
  return out;
}

}  // namespace gale
