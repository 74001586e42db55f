#pragma once
#include <string>
#include <string_view>

#include "kernels/kv_pages.h"

namespace gale {

/// What a name stands for: "f16" keys and values, "q8_0/q4_0" keys in the first and values in the second; known are f32, f16,
/// bf16, fp8, q8_0 and q4_0. "" is f32 where `exact`, else bf16 (docs/why/attention.md). `block_slots`: 16, 32 or 64.
/// Throws Error{invalid_argument} for anything else.
KvFormat choose_kv_format(std::string_view name, bool exact, int64_t block_slots = kGroupSlots);
/// "bf16", "q8_0/q4_0".
std::string kv_format_name(const KvFormat& format);

}  // namespace gale
