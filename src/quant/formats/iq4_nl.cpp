#include "quant/iq4.h"
#include "quant/one_level.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, then 16 bytes whose low halves are the codes of columns 0-15 and whose high halves those of 16-31;
/// value = d * table[q]. 4.5 bits per weight.
struct Iq4Nl {
  static constexpr std::string_view name = "iq4_nl";
  static constexpr TensorType type = TensorType::iq4_nl;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = ScaleType::f16, .table = CodeTable::iq4};
  static constexpr int64_t bytes = 18;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    const int8_t* table = table_values(CodeTable::iq4);
    for (int i = 0; i < 16; ++i) {
      const int both = int(block[2 + i]);
      out[i] = d * float(table[both & 15]);
      out[i + 16] = d * float(table[both >> 4]);
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    blocks::split_nibbles<16>(block + 2, out.codes);
  }

  /// 2.8e-4 and up: the table deviates by 72.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x0c8e + bits % 64)); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(from.top));
    for (int i = 0; i < 16; ++i) block[2 + i] = std::byte(from.codes[i] | from.codes[i + 16] << 4);
  }

  static void quantize(const blocks::BlockRow& row) {
    CodeGroups groups;
    groups.set_table(table_values(CodeTable::iq4));
    ScaleFits fits;
    const CodeGroups::Lanes nothing = {};
    for (int64_t first = 0; first < row.blocks; first += CodeGroups::kLanes) {
      const int64_t n = std::min<int64_t>(row.blocks - first, CodeGroups::kLanes);
      one_level::side_by_side(row, first, n, nothing, groups);
      row.cpu.search.fit_symmetric(groups, fits);
      for (int64_t lane = 0; lane < n; ++lane)
        write(row.x + (first + lane) * 32, two_level::block_scale(fits.scale[lane]), row.out + (first + lane) * bytes);
    }
  }

  /// No code is 0: values below half of the smallest scale are, under a scale of 0.
  static void write(const float* x, float d, std::byte* block) {
    uint8_t codes[32];
    if (std::all_of(x, x + 32, [d](float v) { return 2 * std::fabs(v) < std::fabs(d); })) d = 0;
    iq4::encode(x, d, codes);
    join({.codes = codes, .top = d, .top_min = 0, .sub = nullptr, .sub_min = nullptr}, block);
  }
};

}  // namespace

extern const Format format_iq4_nl;
const Format format_iq4_nl = blocks::block_format<Iq4Nl>();

}  // namespace gale
