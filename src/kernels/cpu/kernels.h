#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/cpu/matmul_kernels.h"
#include "kernels/kv_pages.h"
#include "kernels/scale_search.h"

namespace gale {

/// Queries of one kv head that an item of attention takes together. A query is one query head of one row; those of a kv head are
/// numbered row x group + head, and a tile holds [begin, end) of them, all of rows with the same block table.
/// A tile of many spans may be cut into parts for threads: a part leaves what each span gives at `partials`, and they are merged
/// in the same order as by one thread.
struct AttentionTile {
  int32_t begin = 0, end = 0;
  int32_t first_span = 0, end_span = INT32_MAX;  ///< spans of kSpanSlots this part covers
  float* partials = nullptr;                     ///< [round_spans + 1, kv heads, queries, record]; nullptr: not cut
};
constexpr int64_t kSpanSlots = 256;
/// Floats of one query in one span: the output rounded up to 16, the maximum and the sum.
constexpr int64_t partial_floats(int64_t v_width) { return (v_width + 15) / 16 * 16 + 2; }
constexpr int64_t kMaxTileQueries = 24;
constexpr int64_t kMaxTileFloats = 6 * kMaxHeadWidth;  ///< queries of a tile x the larger width
/// The largest tile for these widths. Tiles share the loads of K and V and never touch a bit of the result.
int64_t tile_queries(int64_t k_width, int64_t v_width);

struct AttentionArgs {
  const float* q = nullptr;  ///< [rows, heads, k_width]
  float* out = nullptr;      ///< [rows, heads, v_width]
  int64_t rows = 0, heads = 0;
  KvPages pages;
  KvRows seen;
  float scale = 1, softcap = 0;  ///< softcap 0: none
  int32_t window = 0;            ///< a row sees at most this many slots up to its own, 0: no limit
  const float* sinks = nullptr;  ///< [heads], a logit per head that only joins the denominator
  const float* bias = nullptr;   ///< [heads, bias_length], added at index clamp(slot seen - own slot + bias_center)
  int64_t bias_length = 0, bias_center = 0;
  const AttentionTile* tiles = nullptr;
  int64_t tile_count = 0;
  int64_t round_first = 0, round_spans = 0;  ///< the spans whose partials are in memory at once
};

/// Which experts each row goes to.
struct RouteArgs {
  const float* logits = nullptr;  ///< [rows, experts]
  int64_t experts = 0, used = 0;
  bool renormalize = false;   ///< the chosen weights sum to 1
  int32_t* chosen = nullptr;  ///< [rows, used] largest first, equal ones by number
  float* weights = nullptr;   ///< [rows, used]
};

/// out[r, i] = sum over rank, in order, of weights[r, rank] x y[place[r, rank], i], i < width.
struct ExpertSumArgs {
  const float* y = nullptr;
  int64_t y_stride = 0;
  const int32_t* place = nullptr;  ///< [rows, used]
  const float* weights = nullptr;  ///< [rows, used]
  int64_t used = 0;
  float* out = nullptr;
  int64_t out_stride = 0, width = 0;
};

/// How words of 4 bytes from 16 rows, taken together as a vector of 16 lanes, are written. Bytes a word, for all rows:
enum class Weaving : uint8_t {
  words,       ///< 64: as they are (f32, also scales, pairs of bf16, 8-bit codes)
  halves,      ///< 64: the low 16 bits of all lanes, then the high ones (f16)
  codes2,      ///< 16: four words of 2-bit codes into one (panel.h has the order of all codes)
  codes3,      ///< 24: eight words of 3-bit codes into three
  codes4,      ///< 32: two words of 4-bit codes into one, the second in the high nibbles
  codes5,      ///< 40: eight words of 5-bit codes into five
  codes6,      ///< 48: four words of 6-bit codes into three
  f16,         ///< 32: f32 that f16 holds exactly, as f16 (scales)
  bytes,       ///< 32: the low bytes of the low 16 bits, then those of the high ones (sub-scales)
  byte_pairs,  ///< 32: both side by side in each lane (sub-minimums)
};
/// Rows into columns: word i of every row goes together to unit i / unit_words, where they lie one after another.
struct WeaveArgs {
  Weaving weaving = Weaving::words;
  const std::byte* rows[kPanelRows] = {};
  int64_t count = 0;  ///< of rows; the lanes of the others are zeros
  int64_t bytes = 0;  ///< of a row; the last word is filled up with zeros, and what is taken together with zero words
  std::byte* out = nullptr;
  int64_t unit_words = 0, unit_bytes = 0;
};

enum class RopeStyle : uint8_t { halves, pairs };

/// The kernels of one instruction set: chosen once, passed in Ctx. All take rows or items [begin, end) of the whole, so that a
/// caller can split the work as it likes without changing a bit.
struct CpuKernels {
  Isa isa;
  std::span<const LayoutKernels> layouts;
  /// Pieces [begin, end) of x [rows, columns], those of a row before those of the next.
  void (*round_pieces)(const float* x, const RoundedRows& out, int64_t begin, int64_t end);
  void (*rms_norm)(const float* x, const float* weight, float eps, float* y, int64_t width, int64_t begin, int64_t end);
  void (*add)(const float* a, const float* b, float* y, int64_t begin, int64_t end);
  /// y[r, i] = x[r, i] + bias[i]
  void (*add_bias)(const float* x, const float* bias, float* y, int64_t width, int64_t begin, int64_t end);
  /// y = silu(gate) x up
  void (*silu_mul)(const float* gate, const float* up, float* y, int64_t begin, int64_t end);
  /// In place on x [rows, heads, width]; cos and sin are [rows, rotated / 2]; columns from `rotated` on stay.
  void (*rope)(float* x, const float* cosines, const float* sines, RopeStyle style, int64_t heads, int64_t width, int64_t rotated,
               int64_t begin, int64_t end);
  /// Rounds k [rows, heads, k_width] and v to the cache's type and writes them. Values beyond the type's range saturate.
  void (*store_kv)(const float* k, const float* v, const KvPages& pages, const KvRows& rows, int64_t begin, int64_t end);
  /// Item i is tile i mod tile_count of kv head i / tile_count.
  void (*attention)(const AttentionArgs& args, int64_t begin, int64_t end);
  /// Joins the partials of a round to those before; after the last span writes the output. Tiles here are whole again.
  void (*merge_attention)(const AttentionArgs& args, int64_t begin, int64_t end);
  void (*route)(const RouteArgs& args, int64_t begin, int64_t end);
  void (*sum_experts)(const ExpertSumArgs& args, int64_t begin, int64_t end);
  ScaleSearch search;
  /// For measure_roofline(): multiply-adds done in `rounds` rounds with everything in registers, and one pass over memory.
  int64_t (*peak_int8)(int64_t rounds, float* sink);
  int64_t (*peak_bf16)(int64_t rounds, float* sink);
  int64_t (*peak_f32)(int64_t rounds, float* sink);
  void (*read_memory)(const std::byte* from, int64_t bytes, float* sink);
  void (*weave)(const WeaveArgs& args);

  /// Throws Error{internal} for a layout nobody arranged.
  const LayoutKernels& find(const Layout& layout) const;
};

/// The entries of all lists, each layout once: that of the first list which has it.
std::vector<LayoutKernels> join_layouts(std::initializer_list<std::span<const LayoutKernels>> lists);

/// The kernels of an instruction set that choose_isa() gave.
const CpuKernels& cpu_kernels(Isa isa);

}  // namespace gale
