#include "kvcache/kv_format.h"

#include <utility>

#include "base/fail.h"

namespace gale {
namespace {

constexpr std::pair<const char*, KvType> kTypes[] = {{"f32", KvType::f32}, {"f16", KvType::f16},   {"bf16", KvType::bf16},
                                                     {"fp8", KvType::fp8}, {"q8_0", KvType::q8_0}, {"q4_0", KvType::q4_0}};

KvType choose(std::string_view name, std::string_view whole) {
  for (const auto& [known, type] : kTypes)
    if (name == known) return type;
  fail(ErrorCode::invalid_argument,
       "unknown KV type \"{}\"; known are f32, f16, bf16, fp8, q8_0 and q4_0, or two of them as keys/values (q8_0/q4_0)", whole);
}

const char* name_of(KvType type) { return kTypes[size_t(type)].first; }

}  // namespace

KvFormat choose_kv_format(std::string_view name, bool exact, int64_t block_slots) {
  require(block_slots == 16 || block_slots == 32 || block_slots == 64, ErrorCode::invalid_argument,
          "blocks of {} slots; they may have 16, 32 or 64", block_slots);
  if (name.empty()) name = exact ? "f32" : "bf16";
  const size_t slash = name.find('/');
  const KvType k = choose(name.substr(0, slash), name);
  return {k, slash == name.npos ? k : choose(name.substr(slash + 1), name), block_slots};
}

std::string kv_format_name(const KvFormat& format) {
  const std::string k = name_of(format.k);
  return format.k == format.v ? k : k + "/" + name_of(format.v);
}

}  // namespace gale
