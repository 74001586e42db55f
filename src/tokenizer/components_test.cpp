#include <gtest/gtest.h>

#include "tokenizer/test_data.h"
#include "tokenizer/text_stream.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

using namespace tokenizer_test;

// Byte offsets as offsets in characters, as Python counts.
std::vector<size_t> in_characters(const std::string& text, const std::vector<Encoding::Offset>& offsets) {
  std::vector<size_t> at(text.size() + 1, 0), out;
  for (size_t i = 0; i < text.size(); ++i) at[i + 1] = at[i] + (i + 1 == text.size() || (uint8_t(text[i + 1]) & 0xc0) != 0x80);
  for (const auto& [begin, end] : offsets) {
    out.push_back(at.at(begin));
    out.push_back(at.at(end));
  }
  return out;
}

Encoding limited(const Tokenizer& t, const std::string& first, std::optional<std::string_view> second) {
  std::vector<Encoding> batch = {t.encode_aligned(first, second, {}, t.truncation() ? &*t.truncation() : nullptr)};
  if (t.padding()) pad(batch, *t.padding());
  return batch[0];
}

void expect_full(const Encoding& e, const Json& expected) {
  EXPECT_EQ(e.ids, expected["ids"].get<std::vector<TokenId>>());
  EXPECT_EQ(e.type_ids, expected["types"].get<std::vector<int32_t>>());
  EXPECT_EQ(e.special_mask, expected["special"].get<std::vector<uint8_t>>());
  EXPECT_EQ(e.attention_mask, expected["attention"].get<std::vector<uint8_t>>());
  const Json windows = expected.value("overflowing", Json::array());
  ASSERT_EQ(e.overflowing.size(), windows.size());
  for (size_t i = 0; i < windows.size(); ++i) expect_full(e.overflowing[i], windows[i]);
}

// Each part of tokenizer.json with each of its options, against the `tokenizers` package.
TEST(Components, EqualTheReference) {
  const Json all = test_json("components.expected.json");
  ASSERT_GE(all.size(), 90u);
  for (const Json& row : all) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto t = Tokenizer::from_json(row["json"].dump());
    for (const Json& item : row["cases"]) {
      const std::string text = item["text"];
      SCOPED_TRACE(testing::PrintToString(text));
      const Encoding e = t->encode_aligned(text);
      EXPECT_EQ(e.ids, ids_of(item, "ids"));
      EXPECT_EQ(t->encode(text), e.ids);
      EXPECT_EQ(in_characters(text, e.offsets), item["offsets"].get<std::vector<size_t>>());
      if (item["decoded"].is_null()) continue;
      const std::string decoded = item["decoded"];
      EXPECT_EQ(t->decode(e.ids), decoded);
      TextStream stream(*t, {});
      std::string streamed;
      for (const TokenId id : e.ids) streamed += stream.push(id);
      EXPECT_EQ(streamed + stream.flush(), decoded);
    }
    for (const Json& item : row.value("decodes", Json::array())) {
      const auto ids = ids_of(item, "ids");
      SCOPED_TRACE(testing::PrintToString(ids));
      for (const bool special : {false, true}) {
        const std::string decoded = item[special ? "with_special" : "text"];
        EXPECT_EQ(t->decode(ids, special), decoded);
        std::string streamed;
        const auto decoder = t->decoder(special);
        for (const TokenId id : ids) decoder->push(id, streamed);
        decoder->finish(streamed);
        if (valid_prefix(streamed) == streamed.size()) EXPECT_EQ(streamed, decoded);
      }
    }
    const std::string first = "Hello World", second = "  it's 3.14,  don't!\n";
    for (const bool pair : {false, true}) {
      if (const auto plain = row.find(pair ? "plain pair" : "plain single"); plain != row.end()) {
        const std::string_view text = pair ? first : second;
        const std::optional<std::string_view> other = pair ? std::optional<std::string_view>(second) : std::nullopt;
        if (plain->is_null()) {
          EXPECT_ANY_THROW(t->encode_aligned(text, other, {.add_special = false}));
        } else {
          expect_full(t->encode_aligned(text, other, {.add_special = false}), *plain);
        }
      }
      const Json& expected = row[pair ? "pair" : "single"];
      SCOPED_TRACE(pair ? "two texts" : "one text");
      if (expected.is_null()) {
        EXPECT_ANY_THROW(limited(*t, pair ? first : second, pair ? std::optional<std::string_view>(second) : std::nullopt));
      } else {
        expect_full(limited(*t, pair ? first : second, pair ? std::optional<std::string_view>(second) : std::nullopt), expected);
      }
    }
  }
}

}  // namespace
}  // namespace gale
