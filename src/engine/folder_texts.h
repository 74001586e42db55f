#pragma once
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder_writer.h"

namespace gale {

/// Everything in a model's folder but its tensors: as the source has it, or, from a GGUF, in the form that other libraries read.
class FolderTexts {
 public:
  /// Throws Error{unsupported} for a GGUF whose tokenizer or rope factors have no such form, before anything is written.
  explicit FolderTexts(const Checkpoint& source);
  /// config.json without a word of how weights are quantized.
  const Json& config() const { return config_; }
  void write(FolderWriter& out, const Json& config) const;

 private:
  void write_made(FolderWriter& out) const;
  const Checkpoint& source_;
  Json config_;
  std::string tokenizer_;  // tokenizer.json, where it is made
};

}  // namespace gale
