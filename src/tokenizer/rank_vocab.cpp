#include "tokenizer/rank_vocab.h"

#include <algorithm>

#include "base/fail.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "tokenizer/base64.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/score_merges.h"

namespace gale {
namespace {

void put(std::vector<std::string>& texts, int64_t rank, std::string text, const std::string& where) {
  require(rank >= 0 && rank < kMaxVocab, ErrorCode::corrupt, "{}: rank {} is not between 0 and {}", where, rank, kMaxVocab - 1);
  if (size_t(rank) >= texts.size()) texts.resize(size_t(rank) + 1);
  texts[size_t(rank)] = std::move(text);
}

std::string bytes_of(std::string_view base64, const std::string& where) {
  std::optional<std::string> bytes = from_base64(base64);
  require(bytes && !bytes->empty(), ErrorCode::corrupt, "{}: '{}' is no base64 text", where, base64.substr(0, 80));
  return std::move(*bytes);
}

std::optional<TokenId> named(const RankVocab& vocab, std::string_view text) {
  for (const auto& s : vocab.specials)
    if (s.text == text) return s.id;
  return std::nullopt;
}

const Json& field(const Json& json, const char* key, const char* where) {
  require(json.is_object() && json.contains(key), ErrorCode::corrupt, "tekken.json: {} has no '{}'", where, key);
  return json.at(key);
}

int64_t number(const Json& json, const char* key, const std::string& where) {
  const Json& n = field(json, key, where.c_str());
  require(n.is_number_integer(), ErrorCode::corrupt, "tekken.json: {}/{} is no integer", where, key);
  return n.get<int64_t>();
}

std::string text(const Json& json, const char* key, const std::string& where) {
  const Json& t = field(json, key, where.c_str());
  require(t.is_string(), ErrorCode::corrupt, "tekken.json: {}/{} is no string", where, key);
  return t.get<std::string>();
}

}  // namespace

RankVocab read_tiktoken(std::string_view file) {
  RankVocab out;
  size_t line = 0;
  while (!file.empty()) {
    std::string_view row = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(file.size(), row.size() + 1));
    ++line;
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    const std::string where = "tiktoken file, line " + std::to_string(line);
    const size_t space = row.find(' ');
    const std::string_view digits = space == std::string_view::npos ? "" : row.substr(space + 1);
    require(!digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string_view::npos,
            ErrorCode::corrupt, "{}: '{}' is not base64, a space and a rank", where, row.substr(0, 80));
    put(out.texts, std::stoll(std::string(digits)), bytes_of(row.substr(0, space), where), where);
  }
  require(!out.texts.empty(), ErrorCode::corrupt, "tiktoken file: it has no lines");
  return out;
}

RankVocab read_tekken(std::string_view file) {
  const Json root = parse_json_text(file, "tekken.json");
  require(root.is_object(), ErrorCode::corrupt, "tekken.json: the file is no JSON object");
  RankVocab out;
  const Json& config = field(root, "config", "/");
  out.pattern = text(config, "pattern", "/config");
  const int64_t specials = number(config, "default_num_special_tokens", "/config");
  const int64_t size = number(config, "default_vocab_size", "/config");
  require(specials >= 0 && size > specials && size <= kMaxVocab, ErrorCode::corrupt,
          "tekken.json: /config has {} tokens, {} of them special", size, specials);
  out.first = TokenId(specials);
  const Json& vocab = field(root, "vocab", "/");
  require(vocab.is_array(), ErrorCode::corrupt, "tekken.json: /vocab is no array");
  for (size_t i = 0; i < vocab.size() && int64_t(i) < size - specials; ++i) {  // files carry more tokens than models use
    const std::string where = "/vocab/" + std::to_string(i);
    put(out.texts, number(vocab[i], "rank", where), bytes_of(text(vocab[i], "token_bytes", where), "tekken.json: " + where),
        where);
  }
  if (root.contains("special_tokens") && root.at("special_tokens").is_array()) {
    for (size_t i = 0; i < root.at("special_tokens").size(); ++i) {
      const Json& token = root.at("special_tokens")[i];
      const std::string where = "/special_tokens/" + std::to_string(i);
      out.specials.push_back({TokenId(number(token, "rank", where)), text(token, "token_str", where)});
    }
  } else {  // the first files say their names nowhere
    const char* names[] = {"<unk>",
                           "<s>",
                           "</s>",
                           "[INST]",
                           "[/INST]",
                           "[AVAILABLE_TOOLS]",
                           "[/AVAILABLE_TOOLS]",
                           "[TOOL_RESULTS]",
                           "[/TOOL_RESULTS]",
                           "[TOOL_CALLS]",
                           "[IMG]",
                           "<pad>",
                           "[IMG_BREAK]",
                           "[IMG_END]",
                           "[PREFIX]",
                           "[MIDDLE]",
                           "[SUFFIX]"};
    for (size_t i = 0; i < std::size(names) && int64_t(i) < specials; ++i) out.specials.push_back({TokenId(i), names[i]});
  }
  std::vector<uint8_t> named_ids(size_t(specials), 0);
  for (const auto& s : out.specials)
    if (s.id >= 0 && s.id < out.first) named_ids[size_t(s.id)] = 1;
  for (TokenId id = 0; id < out.first; ++id)
    if (!named_ids[size_t(id)]) out.specials.push_back({id, "<SPECIAL_" + std::to_string(id) + ">"});
  out.bos = named(out, "<s>");
  out.eos = named(out, "</s>");
  out.unk = named(out, "<unk>");
  out.pad = named(out, "<pad>");
  out.add_bos = out.bos.has_value();
  return out;
}

std::unique_ptr<Tokenizer> make_tokenizer(RankVocab vocab) {
  TokenizerParts parts;
  size_t size = size_t(vocab.first) + vocab.texts.size();
  for (const auto& s : vocab.specials) {
    require(s.id >= 0 && s.id < kMaxVocab, ErrorCode::corrupt, "special token '{}' has the id {}", s.text, s.id);
    size = std::max(size, size_t(s.id) + 1);
  }
  BpeModel& m = parts.rules;
  std::vector<float> scores(size, 0);
  m.texts.resize(size);
  m.usable.assign(size, 0);
  parts.types.assign(size, VocabSpec::unused);
  for (size_t rank = 0; rank < vocab.texts.size(); ++rank) {
    const size_t id = size_t(vocab.first) + rank;
    if (vocab.texts[rank].empty()) continue;
    m.texts[id] = vocab.texts[rank];
    m.usable[id] = 1;
    parts.types[id] = VocabSpec::normal;
    scores[id] = -float(rank);
  }
  for (const auto& s : vocab.specials) {
    if (s.text.empty()) continue;
    if (!m.usable[size_t(s.id)]) m.texts[size_t(s.id)] = s.text;
    parts.types[size_t(s.id)] = s.control ? VocabSpec::control : VocabSpec::user_defined;
    parts.added.push_back({.id = s.id, .content = s.text, .special = s.control});
  }
  m.merges = merges_from_scores(scores, m.texts, m.usable, true);
  m.whole_words = m.usable;
  m.vocab_size = parts.vocab_size = int32_t(size);
  m.byte_level = m.ignore_merges = parts.byte_level = true;
  parts.kind = VocabSpec::Kind::byte_bpe;
  parts.pre = PreTokenizer({split_step(vocab.pattern, "the tokenizer's pattern"), {.kind = PreStep::Kind::byte_letters}});
  parts.decoder = Decoder({{.kind = DecoderStep::Kind::byte_level}});
  parts.bos = vocab.bos;
  parts.eos = vocab.eos;
  parts.unk = vocab.unk;
  parts.pad = vocab.pad;
  if (vocab.add_bos && vocab.bos) {
    for (auto* items : {&parts.post.single, &parts.post.pair})
      items->insert(items->begin(), TemplateItem{.kind = TemplateItem::tokens, .ids = {*vocab.bos}});
  }
  parts.model = std::make_unique<Bpe>(m);
  m.texts.clear();
  return std::make_unique<Pipeline>(std::move(parts));
}

}  // namespace gale
