#pragma once
#include <cstdint>
#include <vector>

namespace gale {

/// Handle of one track of one sequence in the KV cache. A sequence may own several (drafts, X-LoRA's scaling pass).
using TrackId = int32_t;

/// Consecutive rows of a batch that belong to one track, in order of position.
struct Slice {
  TrackId track;
  int32_t row, count;
};

/// Embedding rows that stand in for tokens (media): `rows` rows of f32 [rows, width] over batch rows [row, row + rows).
struct Patch {
  int32_t row, rows;
  const float* embeddings;
};

/// What one step carries: rows of all sequences one after another. Models see rows, never sequences.
///
/// A row sees the cached positions [attend_begin, attend_end) of its own track: [0, position + 1) for causal text, the whole span
/// for bidirectional images and encoders, a prefix for prefix-LM and block diffusion. Layers with a window narrow it further.
struct Batch {
  std::vector<int32_t> tokens;        ///< [rows] token ids; ignored where a patch stands
  std::vector<int32_t> positions;     ///< [axes, rows]; axes is 1, or 3 for mrope
  std::vector<int32_t> slots;         ///< [rows] index in the track where the row's K and V are written
  std::vector<int32_t> attend_begin;  ///< [rows]
  std::vector<int32_t> attend_end;    ///< [rows]
  std::vector<int32_t> wanted;        ///< rows whose hidden state the caller wants, ascending
  std::vector<Slice> slices;          ///< cover [0, rows) in order
  std::vector<Patch> patches;
  int32_t axes = 1;

  int32_t rows() const { return int32_t(tokens.size()); }

  /// Appends `count` causal rows of a track whose next free slot is `first`; positions equal slots.
  void add_causal(TrackId track, const int32_t* ids, int32_t count, int32_t first) {
    slices.push_back({track, rows(), count});
    for (int32_t i = 0; i < count; ++i) {
      tokens.push_back(ids[i]);
      positions.push_back(first + i);
      slots.push_back(first + i);
      attend_begin.push_back(0);
      attend_end.push_back(first + i + 1);
    }
  }
};

}  // namespace gale
