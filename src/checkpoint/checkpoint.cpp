#include "checkpoint/checkpoint.h"

#include <algorithm>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/gguf.h"
#include "checkpoint/packed_file.h"
#include "checkpoint/tokenizer_config.h"

namespace gale {
namespace {

/// The vocabulary's text of the id under `key`, "" where either is missing or out of range.
std::string token_text(const GgufFile& file, std::string_view key) {
  const auto id = file.integer(key);
  const auto* tokens = file.texts("tokenizer.ggml.tokens");
  return id && tokens && *id >= 0 && size_t(*id) < tokens->size() ? (*tokens)[size_t(*id)] : std::string();
}

constexpr size_t kMaxTokenizer = size_t(512) << 20;

}  // namespace

std::string Checkpoint::architecture() const {
  const auto found = config_->find("architectures");
  if (found == config_->end() || !found->is_array() || found->empty() || !found->front().is_string()) return {};
  return found->front().get<std::string>();
}

const RawTensor* Checkpoint::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

std::vector<const RawTensor*> Checkpoint::below(std::string_view name) const {
  const std::string prefix = std::string(name) + ".";
  auto at = std::ranges::lower_bound(sorted_, prefix, {}, &RawTensor::name);
  std::vector<const RawTensor*> out;
  for (; at != sorted_.end() && (*at)->name.starts_with(prefix); ++at) out.push_back(*at);
  return out;
}

std::optional<std::string> Checkpoint::tokenizer_json() const {
  if (packed_) return packed_->text("tokenizer.json");
  if (!directory_ || !std::filesystem::exists(*directory_ / "tokenizer.json")) return std::nullopt;
  return read_text(*directory_ / "tokenizer.json", kMaxTokenizer);
}

std::optional<std::string> Checkpoint::chat_template() const {
  if (gguf_) {
    const std::string* text = gguf_->text("tokenizer.chat_template");
    return text ? std::optional(*text) : std::nullopt;
  }
  if (packed_)
    if (auto text = packed_->text("chat_template.jinja")) return text;
  return chat_template_text(*tokenizer_config_, directory_.value_or(""));
}

std::string Checkpoint::bos_token() const {
  return gguf_ ? token_text(*gguf_, "tokenizer.ggml.bos_token_id") : config_token(*tokenizer_config_, "bos_token");
}

std::string Checkpoint::eos_token() const {
  return gguf_ ? token_text(*gguf_, "tokenizer.ggml.eos_token_id") : config_token(*tokenizer_config_, "eos_token");
}

}  // namespace gale
