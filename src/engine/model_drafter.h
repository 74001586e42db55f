#pragma once
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/runtime.h"
#include "sampling/candidates.h"
#include "scheduler/pace.h"
#include "speculation/drafter.h"
#include "speculation/translation.h"

namespace gale {

/// A smaller model writes ahead, greedily (Leviathan et al., 2023; Chen et al., 2023, who draw from it). It has a cache of its
/// own and reads each text once, in pieces that keep nobody waiting; meanwhile the text has no guesses. Of several texts it
/// writes a token each in one step. It stops where it is not sure.
class ModelDrafter final : public Drafter {
 public:
  /// `translation`: null where both models have the same tokens; else between vocabularies that outlive this.
  ModelDrafter(Runtime own, std::unique_ptr<const Translation> translation);

  void propose(std::span<const DraftTask> tasks) override;
  void forget(uint64_t id) override;

 private:
  struct Text {
    TrackId track = -1;
    std::vector<int32_t> rows;     // tokens that the cache has, at the end guesses that may have been wrong
    int64_t committed = 0;         // of these, as many are the text's for good
    std::vector<BlockName> names;  // of the text's whole blocks
    Translation::Text told;        // where there is a translation
    uint64_t used = 0;             // by calls_
  };
  /// A task of this call.
  struct Writer {
    const DraftTask* task;
    Text* text;
    std::span<const int32_t> tokens;  // the text, in own ones
    int64_t stable, most;             // of the text's tokens, those that stay; guesses wanted
    std::vector<int32_t> guess;
    bool writes = false;
    int64_t missing() const { return int64_t(tokens.size()) - int64_t(text->rows.size()); }
  };

  bool begin(Writer& writer);
  void open(Writer& writer) const;
  void read();
  bool make_room(Writer& writer, int64_t slots);
  void write();
  void add(Writer& writer, const int32_t* tokens, int64_t count);
  void run();
  void choose(Writer& writer, std::span<const float> logits, Candidates& scratch) const;
  void hand_over(const Writer& writer) const;

  Runtime own_;
  std::unique_ptr<const Translation> translation_;
  Ctx ctx_;
  Pace pace_;
  std::unordered_map<uint64_t, Text> texts_;
  std::vector<Writer> writers_;
  Batch batch_;
  std::vector<Writer*> wanted_;  // whose row batch_.wanted[i] is
  std::vector<Candidates> scratch_;
  uint64_t calls_ = 0;
};

}  // namespace gale
