#include "quant/file_parts.h"

#include <gmock/gmock.h>

#include <set>

#include "base/json.h"
#include "quant/test_hf_weights.h"
#include "quant/test_weights.h"

// Made weights in the form of other projects' files: what is written is read back as the same values, bit by bit, by the format
// that reads files of those projects themselves (whose reading hf_formats_test.cpp proves).
namespace gale {
namespace {

using quant_test::HfGroup;
using quant_test::HfWeight;
using quant_test::quantize;
using quant_test::Weight;
using quant_test::weights_like;

std::vector<const Format*> filed_formats() {
  std::vector<const Format*> out;
  for (const Format* format : quant_test::made_formats())
    if (!format->file_form.empty()) out.push_back(format);
  return out;
}

/// A matrix of that format, and what its file would have.
struct Filed {
  const Format& format;
  Weight weight;
  LogicalGroups groups;
  MadeMatrix made;

  Filed(const Format& f, int64_t rows, int64_t columns)
      : format(f),
        weight(f.stored, rows, columns, quantize(f, weights_like(7, size_t(rows * columns), 0.03f), columns)),
        made{f, rows, columns, f.layout(weight.group), nullptr} {
    f.groups(weight.group, weight.whole(), groups);
  }
  std::vector<FilePart> sizes() const { return find_format(format.file_form).encode(made); }
  HfWeight file() const {
    const MadeMatrix whole{format, made.rows, made.columns, made.layout, &groups};
    HfWeight out;
    for (FilePart& part : find_format(format.file_form).encode(whole))
      out.parts[part.suffix] = {part.type, part.shape, std::move(part.bytes)};
    const Json config = find_format(format.file_form).file_config(format, {});
    out.config = config.contains("quantization_config") ? config["quantization_config"] : config["quantization"];
    return out;
  }
};

TEST(FileParts, AreReadBackAsTheSameValuesAndLayout) {
  std::set<std::string_view> names;
  for (const Format* format : filed_formats())
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>(96, 256), {160, 384}, {32, 128}, {64, 640}}) {
      SCOPED_TRACE(fmt::format("{} {} x {}", format->name, rows, columns));
      const Filed filed(*format, rows, columns);
      const HfWeight file = filed.file();
      const HfGroup group(file);
      const Format& reader = format_of(group.group);
      EXPECT_EQ(reader.name, format->file_form);
      EXPECT_EQ(reader.shape(group.group), std::pair(rows, columns));
      EXPECT_EQ(quant_test::hash_of(quant_test::dequantized(reader, group.group)),
                quant_test::hash_of(quant_test::dequantize(*format, filed.weight, filed.weight.whole())));
      names.insert(format->name);
    }
  EXPECT_EQ(names.size(), 20u);
}

// A file's header comes before its data.
TEST(FileParts, SizesAreKnownBeforeTheData) {
  for (const Format* format : filed_formats()) {
    const Filed filed(*format, 160, 384);
    const auto file = filed.file();
    const auto sizes = filed.sizes();
    EXPECT_EQ(sizes.size(), file.parts.size()) << format->name;
    for (const FilePart& part : sizes) {
      EXPECT_TRUE(part.bytes.empty());
      const auto& whole = file.parts.at(part.suffix);
      EXPECT_TRUE(whole.type == part.type && whole.shape == part.shape) << format->name << " " << part.suffix;
      EXPECT_EQ(int64_t(whole.bytes.size()), row_bytes(part.type, part.shape.elements(), ""))
          << format->name << " " << part.suffix;
    }
  }
}

// Columns that are no multiple of 128, and rows.
TEST(FileParts, EdgesOfFp8Blocks) {
  const Filed filed(find_format("fp8_block"), 200, 288);
  const HfWeight file = filed.file();
  EXPECT_EQ(file.parts.at("weight_scale_inv").shape, (Shape{2, 3}));
  const HfGroup group(file);
  EXPECT_EQ(quant_test::hash_of(quant_test::dequantized(format_of(group.group), group.group)), 0x5aa10d008ad9e07u);
}

// Zeros of GPTQ are words of outputs; three bits of 20 outputs are none.
TEST(FileParts, WhatAFormHasNoPlaceForIsLeftOut) {
  EXPECT_TRUE(Filed(find_format("gptq3"), 20, 128).sizes().empty());
  EXPECT_FALSE(Filed(find_format("gptq8"), 20, 128).sizes().empty());
}

// The positive control: another code is seen.
TEST(FilePartsControl, AChangedByteIsSeen) {
  for (const char* name : {"gptq4", "hqq3", "afq5", "nf4", "int8", "fp8_block"}) {
    const Filed filed(find_format(name), 96, 256);
    HfWeight file = filed.file();
    const char* codes = file.parts.contains("qweight") ? "qweight" : file.parts.contains("W_q") ? "W_q" : "weight";
    file.part(codes).bytes[40] ^= std::byte(1);
    const HfGroup group(file);
    EXPECT_NE(quant_test::hash_of(quant_test::dequantized(format_of(group.group), group.group)),
              quant_test::hash_of(quant_test::dequantize(filed.format, filed.weight, filed.weight.whole())))
        << name;
  }
}

}  // namespace
}  // namespace gale
