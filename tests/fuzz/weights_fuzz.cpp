// Any damage to a weight of any format gives an Error, or values that kernels read; never a read outside of its bytes.
// The first byte picks a format, the second a size; the rest are damages: to a part's bytes, shape and type, to parts and config.
#include <cstdint>
#include <cstdlib>

#include "gale/error.h"
#include "quant/test_recipes.h"
#include "quant/test_weights.h"

namespace {

using namespace gale;
using quant_test::HfWeight;

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  uint8_t byte() { return left_ == 0 ? 0 : (--left_, *data_++); }
  /// Small ones mostly; now and then one that is odd.
  int64_t number() {
    constexpr int64_t kOdd[] = {0, -1, 1, INT32_MAX, INT64_MAX, INT64_MIN, int64_t(1) << 32, (int64_t(1) << 62) + 1};
    const uint8_t kind = byte();
    return kind < 8 ? kOdd[kind] : kind < 128 ? kind - 8 : int64_t(kind) * byte();
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

void damage_config(Bytes& in, Json& config) {
  constexpr const char* kKeys[] = {
      "bits",     "group_size", "desc_act",          "checkpoint_format", "version",       "is_marlin_format",
      "num_bits", "w_bit",      "weight_block_size", "quant_method",      "config_groups", "format"};
  const char* key = kKeys[in.byte() % std::size(kKeys)];
  switch (in.byte() % 6) {
    case 0:
      config[key] = in.number();
      break;
    case 1:
      config[key] = {in.number(), in.number()};
      break;
    case 2:
      config[key] = "gptq";
      break;
    case 3:
      config[key] = in.byte() % 2 == 0;
      break;
    case 4:
      config[key] = Json{{"group_0", {{"weights", {{"num_bits", in.number()}, {"group_size", in.number()}}}}}};
      break;
    default:
      if (config.is_object()) config.erase(key);  // a weight without a config has null
  }
}

void damage(Bytes& in, HfWeight& w) {
  constexpr const char* kParts[] = {"weight",     "scale", "scales", "g_idx", "weight_g_idx", "weight_zero_point",
                                    "group_size", "bias_x"};
  auto at = w.parts.begin();
  std::advance(at, long(in.byte() % w.parts.size()));
  HfWeight::Part& part = at->second;
  switch (in.byte() % 8) {
    case 0:  // bytes
      for (int i = in.byte() % 16; i >= 0 && !part.bytes.empty(); --i)
        part.bytes[size_t(in.number()) % part.bytes.size()] = std::byte(in.byte());
      break;
    case 1: {  // shape; the reader of a file has multiplied it out before
      const int64_t a = in.number() & 0xfff, b = in.number() & 0xfff;
      part.shape = in.byte() % 3 == 0 ? Shape{a} : in.byte() % 2 == 0 ? Shape{a, b} : Shape{a, b, 1 + in.byte() % 4};
      break;
    }
    case 2:
      part.bytes.resize(size_t(in.byte()) * in.byte());
      break;
    case 3:
      part.type = tensor_types()[in.byte() % tensor_types().size()].type;
      break;
    case 4:
      w.parts.erase(at);
      break;
    case 5:  // as another part
      w.parts[kParts[in.byte() % std::size(kParts)]] = HfWeight::Part(part);
      break;
    case 6:  // a word
      if (part.bytes.size() >= 8) {
        const int64_t value = in.number();
        std::memcpy(part.bytes.data() + size_t(in.byte()) % (part.bytes.size() - 7), &value, 8);
      }
      break;
    default:
      damage_config(in, w.config);
  }
}

/// What the readers of files promise: as many bytes as a part's shape and type take. False for what they refuse.
bool as_read(HfWeight& w) {
  constexpr int64_t kMost = int64_t(1) << 20;
  for (auto& [suffix, part] : w.parts) {
    const int64_t columns = part.shape.rank() == 0 ? 1 : part.shape[-1];
    if (columns % tensor_type_info(part.type).block != 0 || part.shape.elements() > kMost) return false;
    const int64_t rows = columns == 0 ? 0 : part.shape.elements() / columns;
    part.bytes.resize(size_t(rows * row_bytes(part.type, columns, "fuzz")));
  }
  return true;
}

/// Any bytes as blocks of the format.
HfWeight blocks_of(const Format& format, Bytes& in) {
  HfWeight out;
  const int64_t columns = format.columns_multiple * (1 + in.byte() % 3), rows = 1 + in.byte() % 20;
  HfWeight::Part part{
      format.stored, {rows, columns}, std::vector<std::byte>(size_t(rows * row_bytes(format.stored, columns, "fuzz")))};
  std::byte last{};
  for (std::byte& b : part.bytes) b = last = in.empty() ? std::byte(uint8_t(last) * 5 + 1) : std::byte(in.byte());
  out.parts["weight"] = std::move(part);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<quant_test::Recipe> kRecipes = quant_test::recipes();
  static const std::vector<const Format*> kTyped = quant_test::typed_formats();
  Bytes in(data, size);
  const size_t which = in.byte() % (kRecipes.size() + kTyped.size());
  HfWeight weight;
  if (which < kRecipes.size()) {
    weight = kRecipes[which].weight(64, 128 * (1 + in.byte() % 2), 7);
    while (!in.empty() && !weight.parts.empty()) damage(in, weight);
    if (!as_read(weight)) return 0;
  } else {
    weight = blocks_of(*kTyped[which - kRecipes.size()], in);
  }
  try {
    const quant_test::HfGroup group(weight);
    const Format& format = format_of(group.group);
    const auto [rows, columns] = format.shape(group.group);
    if (rows < 0 || columns < 0) std::abort();
    if (rows == 0 || columns == 0 || rows > 4096 || columns > 4096) return 0;  // a loader compares them with the model's before
    quant_test::unpacked(quant_test::pack(format, group.group));
    quant_test::dequantized(format, group.group);
  } catch (const Error&) {
  }
  return 0;
}
