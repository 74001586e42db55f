#include "tokenizer/json_export.h"

#include <algorithm>

#include "base/fail.h"
#include "base/json.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/score_merges.h"

namespace gale {
namespace {

[[noreturn]] void no_form(std::string_view what) {
  fail(ErrorCode::unsupported,
       "the tokenizer of the GGUF has {}, which Gale writes no tokenizer.json of; start from the model's folder with its own",
       what);
}

int32_t type_of(const VocabSpec& spec, size_t id) { return id < spec.types.size() ? spec.types[id] : VocabSpec::normal; }

Json step_json(const PreStep& step) {
  const bool isolated = step.behavior == PreStep::Behavior::isolated;
  if (step.kind == PreStep::Kind::split)
    return {{"type", "Split"}, {"pattern", {{"Regex", step.pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  if (step.kind != PreStep::Kind::characters) no_form("a step within letters for bytes");
  if (step.members == PreStep::Class::digit) return {{"type", "Digits"}, {"individual_digits", isolated}};
  return {{"type", "Punctuation"}, {"behavior", isolated ? "Isolated" : "Contiguous"}};
}

Json byte_level(bool prefix_space) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix_space}, {"trim_offsets", true}, {"use_regex", false}};
}

Json sequence(const char* key, std::vector<Json> steps) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return steps.front();
  return {{"type", "Sequence"}, {key, steps}};
}

Json merges_json(const VocabSpec& spec) {
  Json out = Json::array();
  for (const std::string& merge : spec.merges) {
    const size_t space = merge.find(' ', 1);
    if (space != merge.npos) out.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return out;
}

Json merges_by_scores(const VocabSpec& spec) {
  std::vector<std::string_view> texts(spec.tokens.begin(), spec.tokens.end());
  std::vector<uint8_t> usable;
  for (size_t id = 0; id < spec.tokens.size(); ++id) usable.push_back(merges_by_score(type_of(spec, id)));
  std::vector<Merge> merges = merges_from_scores(spec.scores, texts, usable);
  std::ranges::sort(merges, {}, [](const Merge& m) { return std::tuple(m.rank, m.left, m.right); });
  Json out = Json::array();
  const auto known = TokenId(spec.tokens.size());  // characters that are no tokens have a place behind them
  for (const Merge& m : merges)
    if (m.left < known && m.right < known) out.push_back({texts[size_t(m.left)], texts[size_t(m.right)]});
  return out;
}

void add_byte_bpe(const VocabSpec& spec, Json& out) {
  const PreRecipe recipe = byte_bpe_recipe(spec.pre.empty() ? "default" : spec.pre);
  if (!recipe.normalizer.empty()) out["normalizer"] = {{"type", "NFC"}};
  std::vector<Json> steps;
  for (const PreStep& step : recipe.steps) steps.push_back(step_json(step));
  steps.push_back(byte_level(false));
  out["pre_tokenizer"] = sequence("pretokenizers", std::move(steps));
  out["decoder"] = byte_level(true);
  out["model"]["ignore_merges"] = recipe.ignore_merges;
  out["model"]["merges"] = merges_json(spec);
}

void add_sentencepiece(const VocabSpec& spec, Json& out) {
  if (!spec.pre.empty() && spec.pre != "default") no_form("words of another kind (" + spec.pre + ")");
  if (!spec.charsmap.empty() || spec.remove_extra_whitespaces) no_form("a normalization of its own");
  const std::string mark(kWordMark);
  std::vector<Json> marks, back;
  if (spec.add_space_prefix) marks.push_back({{"type", "Prepend"}, {"prepend", mark}});
  marks.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}});
  out["normalizer"] = sequence("normalizers", std::move(marks));
  back.push_back({{"type", "Replace"}, {"pattern", {{"String", mark}}}, {"content", " "}});
  back.push_back({{"type", "ByteFallback"}});
  back.push_back({{"type", "Fuse"}});
  if (spec.add_space_prefix) back.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  out["decoder"] = sequence("decoders", std::move(back));
  Json& model = out["model"];
  model["byte_fallback"] = model["fuse_unk"] = true;
  if (spec.unk) model["unk_token"] = spec.tokens[size_t(*spec.unk)];
  model["merges"] = spec.merges.empty() ? merges_by_scores(spec) : merges_json(spec);
}

// What is put before and after a text.
Json around(const VocabSpec& spec) {
  if (!spec.add_bos && !spec.add_eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), special = Json::object();
  const auto token = [&](TokenId id, int type, Json& to) {
    const std::string& text = spec.tokens[size_t(id)];
    to.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
    special[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
  };
  const auto text = [](const char* which, int type) { return Json{{"Sequence", {{"id", which}, {"type_id", type}}}}; };
  for (Json* form : {&single, &pair})
    for (const auto& [which, type] : {std::pair("A", 0), {"B", 1}}) {
      if (type == 1 && form == &single) break;
      if (spec.add_bos) token(*spec.bos, type, *form);
      form->push_back(text(which, type));
      if (spec.add_eos) token(*spec.eos, type, *form);
    }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

}  // namespace

std::string tokenizer_json(const VocabSpec& spec) {
  const bool bytes = spec.kind == VocabSpec::Kind::byte_bpe;
  if (!bytes && spec.kind != VocabSpec::Kind::sentencepiece_bpe) no_form("a model that is no BPE");
  if (bytes && !spec.pre.empty() && !knows_byte_bpe(spec.pre)) no_form("a pre-tokenizer that is not known (" + spec.pre + ")");
  Json added = Json::array(), vocab = Json::object();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const int32_t type = type_of(spec, id);
    const bool special = type == VocabSpec::control || type == VocabSpec::unknown;
    if ((special || type == VocabSpec::user_defined) && !spec.tokens[id].empty())
      added.push_back({{"id", id},
                       {"content", spec.tokens[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", special}});
    if (!vocab.contains(spec.tokens[id])) vocab[spec.tokens[id]] = id;
  }
  Json out{{"version", "1.0"},
           {"truncation", nullptr},
           {"padding", nullptr},
           {"added_tokens", added},
           {"normalizer", nullptr},
           {"pre_tokenizer", nullptr},
           {"post_processor", around(spec)},
           {"decoder", nullptr},
           {"model",
            {{"type", "BPE"},
             {"dropout", nullptr},
             {"unk_token", nullptr},
             {"continuing_subword_prefix", nullptr},
             {"end_of_word_suffix", nullptr},
             {"fuse_unk", false},
             {"byte_fallback", false},
             {"ignore_merges", false},
             {"vocab", vocab}}}};
  bytes ? add_byte_bpe(spec, out) : add_sentencepiece(spec, out);
  return out.dump();
}

}  // namespace gale
